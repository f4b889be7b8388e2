/** cut: one point through all partitions, to read as of and to back up. */
import type { Command } from 'commander'
import type { Cut } from '../client/index.ts'
import { withClient, type Globals } from './options.ts'
import { formatOf, jsonText, tableText, write, writeLine } from './output.ts'

interface Options extends Globals {
  readonly name?: string
  readonly all?: true
}

export function registerCut(program: Command): void {
  program
    .command('cut')
    .description('put a barrier into every partition, and print the token: a point to read as of')
    .option('--name <name>', 'the same name again gives the same cut (default: a new one)')
    .option('--all', 'through all keyspaces (default: that of --keyspace)')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark cut
  $ tidemark cut --name nightly-2026-01-31 --all -o json
  $ tidemark export --as-of "$(tidemark cut)" rows.jsonl    a backup of one point
  $ tidemark scan user: --as-of TOKEN

All that was acknowledged before the command is in the cut, nothing that begins after it is. What is written to
different partitions meanwhile may fall on either side. It can be read for as long as the history reaches back to it.`,
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>()
      const made = await withClient(options, (_rows, client) =>
        client.keyspaces.cut({
          ...(options.name === undefined ? {} : { name: options.name }),
          ...(options.all === true ? {} : { keyspaces: [options.keyspace] }),
        }),
      )
      if (made.repeatedName)
        process.stderr.write(`tidemark: the name ${made.name} was used before: this is the cut of then\n`)
      await writeCut(made, options)
    })
}

const timeText = (timeMs: number): string | undefined =>
  timeMs === 0 ? undefined : new Date(timeMs).toISOString()

async function writeCut({ name, token, positions, repeatedName }: Cut, globals: Globals): Promise<void> {
  const format = formatOf(globals)
  switch (format) {
    case 'raw':
      return writeLine(token)
    case 'json':
    case 'jsonl':
      return write(
        jsonText(
          {
            name,
            token,
            repeated_name: repeatedName,
            positions: positions.map(({ timeMs, ...position }) => ({ ...position, time: timeText(timeMs) })),
          },
          format,
        ),
      )
    case 'table': {
      const lines = positions.map(({ keyspace, partition, offset, timeMs }) => [
        keyspace,
        String(partition),
        String(offset),
        timeText(timeMs) ?? '-',
      ])
      await write(tableText(['KEYSPACE', 'PARTITION', 'OFFSET', 'LOG TIME'], lines))
      await writeLine(`cut ${name}, token:`)
      return writeLine(token)
    }
  }
}
