/** Standard output: its formats, its back-pressure, its end. Nothing but results goes there. */
import { once } from 'node:events'
import { printable } from './text.ts'

export type Format = 'table' | 'json' | 'jsonl' | 'raw'
export const FORMATS: readonly Format[] = ['table', 'json', 'jsonl', 'raw']

export const formatOf = ({ output }: { readonly output?: Format }): Format =>
  output ?? (process.stdout.isTTY ? 'table' : 'raw')

/** Waits when the reader is slower. */
export async function write(chunk: string | Uint8Array): Promise<void> {
  if (chunk.length > 0 && !process.stdout.write(chunk)) await once(process.stdout, 'drain')
}

export const writeLine = (line: string): Promise<void> => write(`${line}\n`)

/** `tidemark scan | head -1` is no error: whoever closes the pipe has seen enough. */
export function quietOnClosedPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}

/** A document for `json`, a line for `jsonl`. */
export const jsonText = (value: unknown, format: Format): string =>
  `${JSON.stringify(value, undefined, format === 'json' ? 2 : undefined)}\n`

/** Rows under headings, as wide as their widest cell; the last column is cut to the terminal. */
export function tableText(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(printable))
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => row[column]?.length ?? 0)),
  )
  const before = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP.length, 0)
  const room = Math.max(20, (process.stdout.columns ?? Infinity) - before)
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => {
        if (column < headings.length - 1) return cell.padEnd(widths[column] ?? 0)
        return cell.length > room ? `${cell.slice(0, room - 1)}…` : cell
      })
      .join(GAP)
      .trimEnd()
  return [dim(line(headings)), ...cells.map(line)].map((text) => `${text}\n`).join('')
}

const GAP = '  '

const coloured = (): boolean => process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === ''
const dim = (text: string): string => (coloured() ? `\u001b[2m${text}\u001b[22m` : text)
