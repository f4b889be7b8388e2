/** Rows and changes, as tables and as JSON. The names in JSON are those that `import` reads. */
import type { Row, WatchChange } from '../client/index.ts'
import { tableText } from './output.ts'
import { jsonField, keyText, printableBytes, type KeyEncoding } from './text.ts'

export type RowJson = Readonly<Record<string, string | number>>

export const rowJson = (row: Row): RowJson => ({
  ...jsonField('key', row.key),
  ...jsonField('value', row.value),
  version: row.version,
  partition: row.partition,
  ...(row.expiresAtMs === 0 ? {} : { expires_at_ms: row.expiresAtMs }),
  ...(row.contentType === '' ? {} : { content_type: row.contentType }),
})

export function changeJson(change: WatchChange): Record<string, unknown> {
  const { row } = change
  const { value: _, ...withoutValue } = rowJson(row)
  return {
    type: change.type,
    ...(change.type === 'put' ? rowJson(row) : withoutValue),
    ...(change.timeMs === 0 ? {} : { time_ms: change.timeMs }),
    ...(change.previous === undefined ? {} : { previous: rowJson(change.previous) }),
    ...(change.traceparent === '' ? {} : { traceparent: change.traceparent }),
  }
}

export const rowsTable = (rows: readonly Row[], encoding: KeyEncoding): string =>
  tableText(
    ['KEY', 'PARTITION', 'VERSION', 'EXPIRES', 'VALUE'],
    rows.map((row) => [
      keyText(row.key, encoding),
      String(row.partition),
      String(row.version),
      expiryText(row),
      printableBytes(row.value),
    ]),
  )

export const expiryText = ({ expiresAtMs }: Row): string => (expiresAtMs === 0 ? '-' : timeText(expiresAtMs))

export const timeText = (ms: number): string => (ms === 0 ? '-' : new Date(ms).toISOString())
