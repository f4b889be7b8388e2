/** history and outcome: what the log remembers. */
import { Argument, type Command } from 'commander'
import type { RecordOutcome } from '../client/index.ts'
import { CommandFailure, EXIT } from './failure.ts'
import { parseWhole, withClient, type Globals } from './options.ts'
import { formatOf, jsonText, tableText, write } from './output.ts'
import { changeJson, timeText } from './row-text.ts'
import { parseKey, printable, printableBytes, tabCell } from './text.ts'

export function registerHistory(program: Command): void {
  program
    .command('history')
    .description('the kept versions of a row, newest first')
    .argument('<key>')
    .option('--limit <versions>', 'at most so many', parseWhole)
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark history greeting
  $ tidemark history greeting --limit 1 -o json
  $ tidemark get greeting --at-version 17

Exits with 3 when nothing is kept of the row.`,
    )
    .action(async (key: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & { limit?: number }>()
      const limit = options.limit === undefined ? {} : { limit: options.limit }
      const { versions, earliestVersion } = await withClient(options, (db) =>
        db.history(parseKey(key, options.keyEncoding), limit),
      )
      if (versions.length === 0) {
        throw new CommandFailure(`no version of ${printable(key)} is kept`, EXIT.NOT_FOUND)
      }
      const format = formatOf(options)
      switch (format) {
        case 'json':
          return write(
            jsonText({ versions: versions.map(changeJson), earliest_version: earliestVersion }, format),
          )
        case 'jsonl':
          return write(versions.map((version) => jsonText(changeJson(version), format)).join(''))
        case 'raw':
          return write(
            versions.map(({ type, row }) => `${row.version}\t${type}\t${tabCell(row.value)}\n`).join(''),
          )
        case 'table': {
          const rows = versions.map(({ type, row, timeMs }) => [
            String(row.version),
            type,
            timeText(timeMs),
            printableBytes(row.value),
          ])
          return write(tableText(['VERSION', 'CHANGE', 'TIME', 'VALUE'], rows))
        }
      }
    })

  program
    .command('outcome')
    .description("what became of the record at a position, for instance that of a producer's ack")
    .addArgument(new Argument('<partition>').argParser(parseWhole))
    .addArgument(new Argument('<offset>').argParser(parseWhole))
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark outcome 3 1041
  $ tidemark outcome 3 1041 --keyspace orders -o json

Exits with 4 when the record was rejected.`,
    )
    .action(async (partition: number, offset: number, _: unknown, command: Command) => {
      const globals = command.optsWithGlobals<Globals>()
      const outcome = await withClient(globals, (db) => db.outcome(partition, offset))
      await writeOutcome(outcome, globals)
      if (outcome.outcomes.some(({ applied }) => !applied)) process.exitCode = EXIT.CONFLICT
    })
}

async function writeOutcome({ outcomes, timeMs }: RecordOutcome, globals: Globals): Promise<void> {
  const format = formatOf(globals)
  if (format === 'json' || format === 'jsonl') {
    const plain = outcomes.map(({ number, ...rest }) => ({ ...rest, number: number?.toString() }))
    return write(jsonText({ outcomes: plain, time_ms: timeMs }, format))
  }
  const rows = outcomes.map(({ applied, reason, version, duplicate }) => [
    applied ? 'applied' : 'rejected',
    reason === '' ? '-' : reason,
    String(version ?? '-'),
    duplicate ? 'duplicate' : '-',
    timeText(timeMs),
  ])
  if (format === 'raw') return write(rows.map((row) => `${row.join('\t')}\n`).join(''))
  return write(tableText(['OUTCOME', 'REASON', 'VERSION', 'REPEATED', 'TIME'], rows))
}
