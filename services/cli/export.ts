/** export: rows into a file or standard output, in the form that import reads. */
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { Option, type Command } from 'commander'
import type { Row } from '../client/index.ts'
import { withClient, type Globals } from './options.ts'
import { write } from './output.ts'
import { progress } from './progress.ts'
import { rowJson, type RowJson } from './row-text.ts'
import { AS_OF, addSelectionOptions, selectionOf, type SelectionOptions } from './scan.ts'

interface Options extends Globals, SelectionOptions {
  readonly asOf?: string
  readonly format?: 'jsonl' | 'csv'
}

const CSV_COLUMNS = ['key', 'key_base64', 'value', 'value_base64', 'content_type', 'expires_at_ms'] as const

export function registerExport(program: Command): void {
  addSelectionOptions(program.command('export').description('write rows to a file (JSONL or CSV)'))
    .argument('[file]', 'the file; - or nothing: standard output', '-')
    .addOption(
      new Option('--format <format>', 'default: csv for *.csv, else jsonl').choices(['jsonl', 'csv']),
    )
    .option(...AS_OF)
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark export rows.jsonl
  $ tidemark export --prefix user: users.csv
  $ tidemark export | gzip > rows.jsonl.gz
  $ tidemark export --as-of "$(tidemark cut)" rows.jsonl

Bytes that are no text go into key_base64 and value_base64; import reads all of it back. Without --as-of
each partition is exported as it stands when the export begins.`,
    )
    .action(async (file: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>()
      const format = options.format ?? (file.endsWith('.csv') ? 'csv' : 'jsonl')
      const output = file === '-' ? { write, end: async () => undefined } : openFile(file)
      const asked = {
        ...selectionOf(undefined, options, command),
        ...(options.asOf === undefined ? {} : { asOf: options.asOf }),
      }
      const lineOf = format === 'csv' ? csvLine : jsonLine
      const bar = progress('rows')
      let rows = 0
      let text = format === 'csv' ? `${CSV_COLUMNS.join(',')}\n` : ''
      await withClient(options, async (db) => {
        for await (const row of db.scan(asked)) {
          text += lineOf(row)
          rows += 1
          if (text.length < CHUNK_CHARACTERS) continue
          await output.write(text)
          text = ''
          bar.show(rows, undefined)
        }
        await output.write(text)
        await output.end()
      })
      bar.end()
      if (file !== '-') await write(`exported ${rows} rows to ${file}\n`)
    })
}

const CHUNK_CHARACTERS = 64 * 1024

/** What a row is, without where it stood: version and partition are another node's business. */
function plainOf(row: Row): RowJson {
  const { version: _version, partition: _partition, ...rest } = rowJson(row)
  return rest
}

const jsonLine = (row: Row): string => `${JSON.stringify(plainOf(row))}\n`

function csvLine(row: Row): string {
  const fields = plainOf(row)
  return `${CSV_COLUMNS.map((column) => csvCell(fields[column])).join(',')}\n`
}

/** RFC 4180. */
function csvCell(value: string | number | undefined): string {
  const text = value === undefined ? '' : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function openFile(path: string) {
  const stream = createWriteStream(path)
  let failed: Error | undefined
  stream.on('error', (error) => (failed = error))
  return {
    async write(text: string): Promise<void> {
      if (failed !== undefined) throw failed
      if (!stream.write(text)) await Promise.race([once(stream, 'drain'), once(stream, 'error')])
    },
    async end(): Promise<void> {
      if (failed !== undefined) throw failed
      stream.end()
      await once(stream, 'finish')
    },
  }
}
