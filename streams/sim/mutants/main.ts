/** `npm run sim:mutants`: runs seeds against each planted bug until one is found, and prints which seed and which checker found it. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { MUTANTS } from './mutants.ts'

const SEEDS_MAX = 400
const HOOK = new URL('./hook.child.js', import.meta.url).href
const SIMULATOR = fileURLToPath(new URL('../main.js', import.meta.url))

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** @returns the first seed that finds it and what it says; undefined when none does */
function caught(number: number): Promise<{ readonly seed: string; readonly by: string } | undefined> {
  return new Promise((resolve, reject) => {
    const given = ['--import', HOOK, SIMULATOR, '--mutant', String(number)]
    const child = spawn(process.execPath, [...given, '--seeds', `1..${SEEDS_MAX}`, '--first'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let text = ''
    child.stdout.on('data', (more: Buffer) => (text += more.toString()))
    child.stderr.on('data', (more: Buffer) => (text += more.toString()))
    child.on('error', reject)
    child.on('exit', (code) => {
      const found = /seed (\d+) FAILED: (.*)/.exec(text)
      if (found?.[1] !== undefined) resolve({ seed: found[1], by: found[2] ?? '' })
      else if (code === 0) resolve(undefined)
      else reject(new Error(`the simulator broke with mutant ${number}: ${text.slice(0, 2000)}`))
    })
  })
}

const [only] = process.argv.slice(2)
let escaped = 0
for (const [number, { name, file }] of MUTANTS.entries()) {
  if (only !== undefined && only !== String(number)) continue
  const found = await caught(number)
  if (found === undefined) escaped += 1
  say(
    found === undefined
      ? `| ${number} | ${name} (${file}) | ESCAPED ${SEEDS_MAX} seeds | |`
      : `| ${number} | ${name} (${file}) | seed ${found.seed} | ${found.by.slice(0, 120)} |`,
  )
}
say(escaped === 0 ? 'all mutants are caught' : `${escaped} mutants escaped`)
process.exitCode = escaped === 0 ? 0 : 1
