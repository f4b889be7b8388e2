/**
 * `npm run check:history -- FILE`: everything that can be said about a history (JSON lines, streams/sim/history-codec.ts): the checkers against
 * the log, and the independent search per key. Prints a table; ends with 1 where a promise was broken or could not be decided.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { checkHistory } from '../../streams/sim/check/check.ts'
import { parseHistory } from '../../streams/sim/history-codec.ts'
import type { History } from '../../streams/sim/history.ts'
import { groupsOf } from './groups.ts'
import { search } from './program.ts'

/** Of each checker. */
const SHOWN_MAX = 10

interface Line {
  readonly name: string
  readonly verdict: string
  readonly messages: readonly string[]
}

export async function linesOf(history: History, secondsMax: number | undefined): Promise<readonly Line[]> {
  const lines = checkHistory(history).map(({ name, violations }): Line => {
    const shown = violations.slice(0, SHOWN_MAX)
    const messages = shown.map(({ message, entries }) => `${message} [entries ${entries.join(', ')}]`)
    return { name, verdict: violations.length === 0 ? 'good' : `${violations.length} broken`, messages }
  })
  if (secondsMax === undefined) return lines
  const verdicts = await search(groupsOf(history), secondsMax)
  const wrong = verdicts.filter(({ result }) => result !== 'ok')
  const operations = verdicts.reduce((sum, one) => sum + one.operations, 0)
  const messages = wrong.slice(0, SHOWN_MAX).map(({ keys, result, left }) => {
    const names = keys.map((key) => JSON.stringify(key)).join(', ')
    return result === 'unknown'
      ? `${names}: not decided within ${secondsMax} s`
      : `${names}: no order explains it; the longest leaves out the calls of the entries ${left.join(', ')}`
  })
  const whole = `${verdicts.length} groups of keys, ${operations} operations`
  const verdict = wrong.length === 0 ? `good (${whole})` : `${wrong.length} of ${whole} not explained`
  return [...lines, { name: 'search', verdict, messages }]
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { seconds: { type: 'string', default: '20' }, 'no-search': { type: 'boolean', default: false } },
  })
  const [path] = positionals
  if (path === undefined) throw new Error('usage: npm run check:history -- FILE [--seconds 20] [--no-search]')
  const text: string[] = []
  for await (const line of createInterface(createReadStream(path))) text.push(line)
  const history = parseHistory(text)
  const records = history.log.reduce((sum, partition) => sum + partition.length, 0)
  console.log(
    `${path}: ${history.entries.length} entries, ${records} records in ${history.log.length} partitions`,
  )
  const lines = await linesOf(history, values['no-search'] ? undefined : Number(values.seconds))
  for (const { name, verdict, messages } of lines) {
    console.log(`  ${name.padEnd(14)}${verdict}`)
    for (const message of messages) console.log(`      ${message}`)
  }
  if (lines.some(({ verdict }) => !verdict.startsWith('good'))) process.exitCode = 1
}

if (process.argv[1] !== undefined && import.meta.filename === process.argv[1]) await main()
