/**
 * Holds proto/ against Buf: format, lint, and no change that breaks a client of proto/breaking-image.json, the contract
 * as it was last agreed on.
 *
 *     node infra/check-proto.mjs            checks
 *     node infra/check-proto.mjs --update   takes today's proto/ as the contract: after additions, or to break it on purpose
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const buf = join(root, 'node_modules', '.bin', 'buf')
const IMAGE = 'proto/breaking-image.json'
const UPDATE = 'node infra/check-proto.mjs --update'

/** The image without comments and without what we took from others, one line for each message, enum and service. */
function imageText() {
  const args = ['build', 'proto', '--path', 'proto/tidemark', '--exclude-source-info', '-o', '-#format=json']
  const image = JSON.parse(
    execFileSync(buf, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  const lines = (values) => `[\n${values.map((value) => `   ${JSON.stringify(value)}`).join(',\n')}\n  ]`
  const files = image.file
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((file) => {
      const fields = Object.entries(file).map(([name, value]) => {
        const long = ['messageType', 'enumType', 'service'].includes(name)
        return `  ${JSON.stringify(name)}: ${long ? lines(value) : JSON.stringify(value)}`
      })
      return ` {\n${fields.join(',\n')}\n }`
    })
  return `{"file": [\n${files.join(',\n')}\n]}\n`
}

/** @returns whether Buf had nothing to say; what it says goes to the terminal. */
function check(...args) {
  const { status, error } = spawnSync(buf, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  if (error !== undefined) throw error
  return status === 0
}

function checkAll() {
  const problems = []
  if (!check('format', 'proto', '--diff', '--exit-code')) problems.push('format: run npx buf format -w proto')
  if (!check('lint', 'proto')) problems.push('lint: see the lines above')
  if (!existsSync(join(root, IMAGE))) problems.push(`${IMAGE} is missing: run ${UPDATE}`)
  else if (!check('breaking', 'proto', '--against', IMAGE)) {
    problems.push(`the change breaks clients: undo it, or agree to it with ${UPDATE}`)
  } else if (readFileSync(join(root, IMAGE), 'utf8') !== imageText()) {
    // Else what was added could be taken away again without anyone being told.
    problems.push(`the contract grew: record that with ${UPDATE}`)
  }
  return problems
}

if (process.argv.includes('--update')) {
  writeFileSync(join(root, IMAGE), imageText())
  console.log(`${IMAGE} is the contract now`)
} else {
  const problems = checkAll()
  for (const problem of problems) console.error(`proto: ${problem}`)
  if (problems.length > 0) process.exitCode = 1
}
