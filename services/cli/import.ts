/** import: rows of a file or of standard input, as many at once as the client takes. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Option, type Command } from 'commander'
import type { Keyspace } from '../client/index.ts'
import { CATALOGUE, TidemarkError } from '../../streams/core/errors.ts'
import { IMPORT_ROWS_IN_FLIGHT_MAX } from '../../streams/core/limits.ts'
import { CommandFailure, EXIT } from './failure.ts'
import type { ImportRecord, ImportRow, SourceOptions } from './import-source.ts'
import { withClient, type Globals } from './options.ts'
import { formatOf, jsonText, write } from './output.ts'
import { progress, type Progress } from './progress.ts'

interface Options extends Globals {
  readonly format?: 'jsonl' | 'csv'
  readonly keyField?: string
  readonly keyColumn?: string
  readonly keyPrefix?: string
  readonly skipBad?: true
}

/** Bad lines that are named one by one; more of them are counted only. */
const BAD_LINES_NAMED = 20

export function registerImport(program: Command): void {
  program
    .command('import')
    .description('write the rows of a file (JSONL or CSV)')
    .argument('<file>', 'the file; - reads standard input')
    .addOption(
      new Option('--format <format>', 'default: csv for *.csv, else jsonl').choices(['jsonl', 'csv']),
    )
    .option('--key-field <name>', 'JSONL: the key is this field, the value the whole object')
    .option('--key-column <name>', 'CSV: the key is this column, the value the whole row as a JSON object')
    .option('--key-prefix <prefix>', 'goes before each key')
    .option('--skip-bad', 'name bad lines and go on, instead of stopping at the first')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark import rows.jsonl                        {"key":"a","value":"1"} on each line
  $ tidemark import users.jsonl --key-field id --key-prefix user:
  $ tidemark import cities.csv --key-column name
  $ tidemark export | tidemark import - --server other:7400

A line may have "ttl_ms" and "content_type"; "key_base64" and "value_base64" hold bytes that are no text.
What stands before a bad line is written; importing again writes the same rows again.`,
    )
    .action(async (file: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>()
      const input = await openInput(file)
      const format = options.format ?? (file.endsWith('.csv') ? 'csv' : 'jsonl')
      const other = format === 'csv' ? options.keyField : options.keyColumn
      if (other !== undefined) {
        const right = format === 'csv' ? '--key-column' : '--key-field'
        throw new CommandFailure(`${format} takes ${right}`, EXIT.USAGE)
      }
      const { csvRecords, jsonlRecords } = await import('./import-source.ts')
      const source: SourceOptions = {
        keyField: format === 'csv' ? options.keyColumn : options.keyField,
        keyPrefix: options.keyPrefix ?? '',
        now: Date.now(),
      }
      const records = (format === 'csv' ? csvRecords : jsonlRecords)(input.chunks(), source)
      const bar = progress('rows')
      const show = (rows: number): void => bar.show(rows, input.share())
      const began = performance.now()
      const counts = await withClient(options, (db) =>
        importRows(db, records, options.skipBad ?? false, { show, end: () => bar.end() }),
      )
      await writeSummary(counts, (performance.now() - began) / 1000, options)
    })
}

export interface Counts {
  imported: number
  bad: number
  expired: number
}

/** @throws CommandFailure at the first bad line, unless they are skipped; TidemarkError when the node does not take more */
export async function importRows(
  db: Keyspace,
  records: AsyncIterable<ImportRecord>,
  skipBad: boolean,
  shown: Progress,
): Promise<Counts> {
  const counts: Counts = { imported: 0, bad: 0, expired: 0 }
  let failure: Error | undefined
  let inFlight = 0
  let wake: () => void = () => undefined
  const bad = (line: number, problem: string): void => {
    counts.bad += 1
    if (!skipBad) failure ??= new CommandFailure(`line ${line}: ${problem}`)
    else if (counts.bad <= BAD_LINES_NAMED) {
      shown.end()
      process.stderr.write(`tidemark: line ${line}: ${problem} (skipped)\n`)
    }
  }
  const put = async (line: number, row: ImportRow): Promise<void> => {
    try {
      await db.put(row.key, row.value, {
        ...(row.ttlMs === undefined ? {} : { ttlMs: row.ttlMs }),
        ...(row.contentType === undefined ? {} : { contentType: row.contentType }),
      })
      counts.imported += 1
    } catch (error) {
      const refused = TidemarkError.from(error)
      if (CATALOGUE[refused.reason].grpc === 'INVALID_ARGUMENT')
        bad(line, `${refused.message} (${refused.reason})`)
      else failure ??= refused
    } finally {
      inFlight -= 1
      wake()
    }
  }
  const settled = (atMost: number): Promise<void> =>
    new Promise((resolve) => {
      wake = () => {
        if (inFlight <= atMost) resolve()
      }
      wake()
    })
  for await (const record of records) {
    if ('problem' in record) bad(record.line, record.problem)
    else if ('expired' in record) counts.expired += 1
    else {
      inFlight += 1
      void put(record.line, record.row)
      if (inFlight >= IMPORT_ROWS_IN_FLIGHT_MAX) await settled(IMPORT_ROWS_IN_FLIGHT_MAX / 2)
      shown.show(counts.imported, undefined)
    }
    if (failure !== undefined) break
  }
  await settled(0)
  shown.end()
  if (failure === undefined) return counts
  process.stderr.write(`tidemark: stopped after ${counts.imported} rows were written\n`)
  throw failure
}

async function openInput(file: string) {
  const size = file === '-' ? undefined : (await stat(file)).size
  const stream: AsyncIterable<Buffer> = file === '-' ? process.stdin : createReadStream(file)
  let read = 0
  return {
    async *chunks(): AsyncGenerator<Buffer> {
      for await (const chunk of stream) {
        read += chunk.length
        yield chunk
      }
    },
    share: (): number | undefined => (size === undefined || size === 0 ? undefined : read / size),
  }
}

async function writeSummary(counts: Counts, seconds: number, globals: Globals): Promise<void> {
  const format = formatOf(globals)
  if (format === 'json' || format === 'jsonl') return write(jsonText({ ...counts, seconds }, format))
  const skipped = counts.bad === 0 ? '' : `, skipped ${counts.bad} bad ${counts.bad === 1 ? 'line' : 'lines'}`
  const expired = counts.expired === 0 ? '' : `, left out ${counts.expired} that had expired`
  const rate = Math.round(counts.imported / Math.max(seconds, 0.001))
  await write(`imported ${counts.imported} rows in ${seconds.toFixed(1)} s (${rate}/s)${skipped}${expired}\n`)
}
