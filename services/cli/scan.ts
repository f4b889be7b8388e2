/** scan: rows in the order of their keys. */
import type { Command } from 'commander'
import type { Row, ScanOptions } from '../client/index.ts'
import { EXIT } from './failure.ts'
import { parseWhole, withClient, type Globals } from './options.ts'
import { formatOf, jsonText, write, type Format } from './output.ts'
import { rowJson, rowsTable } from './row-text.ts'
import { keyText, parseKey, tabCell, type KeyEncoding } from './text.ts'

export interface Selection {
  readonly prefix?: Buffer
  readonly start?: Buffer
  readonly end?: Buffer
}

export interface SelectionOptions {
  readonly prefix?: string
  readonly start?: string
  readonly end?: string
}

export const AS_OF = [
  '--as-of <token>',
  'exactly what stood at this token, for instance that of a cut',
] as const

/** The keys that the options select. */
export function selectionOf(
  prefix: string | undefined,
  options: Globals & SelectionOptions,
  command: Command,
): Selection {
  if (prefix !== undefined && options.prefix !== undefined) {
    command.error('error: give the prefix once', { exitCode: EXIT.USAGE })
  }
  const bytes = (text: string): Buffer => parseKey(text, options.keyEncoding)
  const chosen = prefix ?? options.prefix
  return {
    ...(chosen === undefined ? {} : { prefix: bytes(chosen) }),
    ...(options.start === undefined ? {} : { start: bytes(options.start) }),
    ...(options.end === undefined ? {} : { end: bytes(options.end) }),
  }
}

export const addSelectionOptions = (command: Command): Command =>
  command
    .option('--prefix <prefix>', 'only keys that start with this')
    .option('--start <key>', 'only keys at or after this one')
    .option('--end <key>', 'only keys before this one')

export function registerScan(program: Command): void {
  addSelectionOptions(program.command('scan').description('read rows in the order of their keys'))
    .argument('[prefix]', 'only keys that start with this')
    .option('--limit <rows>', 'at most so many', parseWhole)
    .option('--reverse', 'from the greatest key down')
    .option('--keys-only', 'leave the values out')
    .option(...AS_OF)
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark scan
  $ tidemark scan user: --limit 10
  $ tidemark scan --start 2026-01 --end 2026-02 --keys-only
  $ tidemark scan --reverse --limit 1                the last row
  $ tidemark scan user: -o jsonl | jq -r .value
  $ tidemark scan --as-of "$TOKEN"

raw writes a line for each row: key, tab, value (\\t, \\n, \\r and \\\\ are escaped).
What is shown is one snapshot of each partition; with --as-of, of the moment that the token tells.`,
    )
    .action(async (prefix: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<
        Globals & SelectionOptions & { limit?: number; reverse?: true; keysOnly?: true; asOf?: string }
      >()
      const scanOptions: ScanOptions = {
        ...selectionOf(prefix, options, command),
        ...(options.limit === undefined ? {} : { limit: options.limit }),
        ...(options.asOf === undefined ? {} : { asOf: options.asOf }),
        reverse: options.reverse ?? false,
        keysOnly: options.keysOnly ?? false,
      }
      const layout = layoutOf(formatOf(options), options.keyEncoding, options.keysOnly ?? false)
      await withClient(options, async (db) => {
        let rows: Row[] = []
        let written = 0
        const flush = async (): Promise<void> => {
          await write(layout.rows(rows, written === 0))
          written += rows.length
          rows = []
        }
        await write(layout.begin)
        for await (const row of db.scan(scanOptions)) {
          rows.push(row)
          if (rows.length === ROWS_AT_ONCE) await flush()
        }
        if (rows.length > 0 || written === 0) await flush()
        await write(layout.end)
      })
    })
}

/** Rows formatted and written together; a table's columns are as wide as these need. */
const ROWS_AT_ONCE = 500

interface Layout {
  readonly begin: string
  readonly end: string
  readonly rows: (rows: readonly Row[], first: boolean) => string
}

function layoutOf(format: Format, encoding: KeyEncoding, keysOnly: boolean): Layout {
  const json = (row: Row): unknown => {
    const { value, value_base64, ...rest } = rowJson(row)
    return keysOnly ? rest : { ...rest, ...(value === undefined ? { value_base64 } : { value }) }
  }
  switch (format) {
    case 'table':
      return { begin: '', end: '', rows: (rows) => rowsTable(rows, encoding) }
    case 'json': {
      const rows: Layout['rows'] = (some, first) =>
        some
          .map((row, index) => `${first && index === 0 ? '' : ','}\n  ${JSON.stringify(json(row))}`)
          .join('')
      return { begin: '[', end: '\n]\n', rows }
    }
    case 'jsonl':
      return { begin: '', end: '', rows: (rows) => rows.map((row) => jsonText(json(row), format)).join('') }
    case 'raw': {
      const line = (row: Row): string => {
        const key = encoding === 'utf8' ? tabCell(row.key) : keyText(row.key, encoding)
        return keysOnly ? `${key}\n` : `${key}\t${tabCell(row.value)}\n`
      }
      return { begin: '', end: '', rows: (rows) => rows.map(line).join('') }
    }
  }
}
