/**
 * Rows of a file: each is a row to write, or what is wrong with it and in which line.
 *
 * JSONL, and CSV with the columns of an export: {"key" or "key_base64", "value" or "value_base64", "ttl_ms"?, "expires_at_ms"?,
 * "content_type"?}; a value that is no text is stored as its JSON. With a key field (JSONL) or key column (CSV): the key is what
 * stands there, the value is the whole object as JSON.
 */
import { CsvError, parse as parseCsv } from 'csv-parse'
import { IMPORT_LINE_BYTES_MAX } from '../../streams/core/limits.ts'
import { CommandFailure, EXIT } from './failure.ts'
import { linesOf } from './lines.ts'
import { textOrUndefined } from './text.ts'

export interface ImportRow {
  readonly key: Buffer
  readonly value: Buffer
  readonly ttlMs: number | undefined
  readonly contentType: string | undefined
}

export type ImportRecord =
  | { readonly line: number; readonly row: ImportRow }
  | { readonly line: number; readonly problem: string }
  | { readonly line: number; readonly expired: true }

export interface SourceOptions {
  /** Field or column whose content is the key; undefined = rows as an export writes them. */
  readonly keyField: string | undefined
  readonly keyPrefix: string
  /** Milliseconds since 1970, for `expires_at_ms`. */
  readonly now: number
}

type Fields = Readonly<Record<string, unknown>>

class Problem extends Error {}

export async function* jsonlRecords(
  input: AsyncIterable<Buffer>,
  options: SourceOptions,
): AsyncGenerator<ImportRecord> {
  for await (const { number, bytes } of linesOf(input)) {
    if (bytes?.length === 0) continue
    yield recordOf(number, () => {
      if (bytes === undefined)
        throw new Problem(`the line is over the limit of ${IMPORT_LINE_BYTES_MAX} bytes`)
      const text = textOrUndefined(bytes)
      if (text === undefined) throw new Problem('the line is not UTF-8')
      return rowOf(objectOf(text), options, text)
    })
  }
}

function objectOf(text: string): Fields {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw new Problem(error instanceof Error ? `no JSON: ${error.message}` : 'no JSON')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new Problem('no JSON object')
  return parsed as Fields
}

export async function* csvRecords(
  input: AsyncIterable<Buffer>,
  options: SourceOptions,
): AsyncGenerator<ImportRecord> {
  const skipped: ImportRecord[] = []
  const parser = parseCsv({
    bom: true,
    columns: (header: string[]) => checkedHeader(header, options),
    info: true,
    max_record_size: IMPORT_LINE_BYTES_MAX,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: (error) => {
      if (error !== undefined) skipped.push({ line: lineOf(error), problem: csvProblem(error) })
      return undefined
    },
  })
  const fed = feed(parser, input)
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: Fields
      info: { lines: number }
    }>) {
      yield* skipped.splice(0)
      yield recordOf(info.lines, () => rowOf(record, options, undefined))
    }
    yield* skipped.splice(0)
    await fed
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    yield { line: lineOf(error), problem: csvProblem(error) }
  }
}

const lineOf = (error: CsvError): number => (typeof error['lines'] === 'number' ? error['lines'] : 0)

const csvProblem = ({ message }: Error): string =>
  `no CSV: ${message.replace(/ at line \d+| on line \d+/g, '')}`

/** Text goes in as fast as records come out. */
async function feed(parser: ReturnType<typeof parseCsv>, input: AsyncIterable<Buffer>): Promise<void> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    for await (const chunk of input) {
      if (!parser.write(decoder.decode(chunk, { stream: true }))) {
        await new Promise((resolve) => parser.once('drain', resolve))
      }
    }
    parser.end(decoder.decode())
  } catch (error) {
    const failure = error instanceof TypeError ? new CommandFailure('the file is not UTF-8') : error
    parser.destroy(failure instanceof Error ? failure : new Error(String(failure)))
  }
}

function checkedHeader(header: string[], { keyField }: SourceOptions): string[] {
  const has = (...names: string[]): boolean => names.some((name) => header.includes(name))
  const found = `the columns are ${header.join(', ')}`
  if (keyField !== undefined && !has(keyField)) {
    throw new CommandFailure(`there is no column ${keyField}: ${found}`, EXIT.USAGE)
  }
  if (keyField === undefined && !(has('key', 'key_base64') && has('value', 'value_base64'))) {
    throw new CommandFailure(`name the column that holds the key with --key-column: ${found}`, EXIT.USAGE)
  }
  return header
}

function recordOf(line: number, read: () => ImportRow | undefined): ImportRecord {
  try {
    const row = read()
    return row === undefined ? { line, expired: true } : { line, row }
  } catch (error) {
    if (error instanceof Problem) return { line, problem: error.message }
    throw error
  }
}

/** @returns undefined for a row that has expired since it was exported */
function rowOf(fields: Fields, options: SourceOptions, text: string | undefined): ImportRow | undefined {
  const { keyField, keyPrefix, now } = options
  const prefixed = (key: Buffer): Buffer =>
    keyPrefix === '' ? key : Buffer.concat([Buffer.from(keyPrefix), key])
  if (keyField !== undefined) {
    const key = fields[keyField]
    if (typeof key !== 'string' && typeof key !== 'number')
      throw new Problem(`the field ${keyField} holds no key`)
    const value = Buffer.from(text ?? JSON.stringify(fields))
    return {
      key: prefixed(Buffer.from(String(key))),
      value,
      ttlMs: undefined,
      contentType: 'application/json',
    }
  }
  const key = bytesOf(fields, 'key')
  if (key === undefined || key.length === 0) throw new Problem('there is no key')
  const value = bytesOf(fields, 'value')
  if (value === undefined) throw new Problem('there is no value')
  const expiresAt = numberOf(fields, 'expires_at_ms')
  const ttlMs = expiresAt === undefined ? numberOf(fields, 'ttl_ms') : expiresAt - now
  if (expiresAt !== undefined && expiresAt <= now) return undefined
  const contentType = fields['content_type']
  if (contentType !== undefined && typeof contentType !== 'string')
    throw new Problem('content_type is no text')
  return { key: prefixed(key), value, ttlMs, contentType: contentType === '' ? undefined : contentType }
}

function bytesOf(fields: Fields, name: string): Buffer | undefined {
  const base64 = fields[`${name}_base64`]
  // CSV has all columns in each row: an empty one is one that is not there.
  if (base64 !== undefined && base64 !== '') {
    if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(base64)) {
      throw new Problem(`${name}_base64 is not base64`)
    }
    return Buffer.from(base64, 'base64')
  }
  const value = fields[name]
  if (value === undefined) return undefined
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}

function numberOf(fields: Fields, name: string): number | undefined {
  const value = fields[name]
  if (value === undefined || value === '') return undefined
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new Problem(`${name} is no whole number`)
  return number
}
