/** `npm run sim:mutants`: runs seeds against each planted bug until one is found, and prints which seed and which checker found it. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { must } from '../../core/assert.ts'
import { MUTANTS } from './mutants.ts'

const SEEDS_MAX = 400
/** Mutants that are looked for at the same time. */
const LANES = 2
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
const numbers = [...MUTANTS.keys()].filter((number) => only === undefined || only === String(number))
let escaped = 0

async function lane(): Promise<void> {
  for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
    const { name, file } = must(MUTANTS[number], 'a mutant')
    const found = await caught(number)
    if (found === undefined) escaped += 1
    const what =
      found === undefined ? `ESCAPED ${SEEDS_MAX} seeds` : `seed ${found.seed} | ${found.by.slice(0, 120)}`
    say(`| ${number} | ${name} (${file}) | ${what} |`)
  }
}

await Promise.all(Array.from({ length: LANES }, lane))
say(escaped === 0 ? 'all mutants are caught' : `${escaped} mutants escaped`)
process.exitCode = escaped === 0 ? 0 : 1
