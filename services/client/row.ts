/** A row as the caller sees it. */
import type { Row as RowMessage } from '../../proto/generated/tidemark/v1/types.ts'

export class Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** Offset of the record that last changed the row: what `ifVersion` compares with. */
  readonly version: number
  readonly partition: number
  /** Log time at which the row expires, milliseconds since 1970; 0 = never. */
  readonly expiresAtMs: number
  /** As the writer gave it; empty = none. */
  readonly contentType: string

  constructor(
    key: Uint8Array,
    value: Uint8Array,
    version: number,
    partition: number,
    expiresAtMs: number,
    contentType: string,
  ) {
    this.key = key
    this.value = value
    this.version = version
    this.partition = partition
    this.expiresAtMs = expiresAtMs
    this.contentType = contentType
  }

  /** The key as UTF-8. */
  keyText(): string {
    return textOf(this.key)
  }

  /** The value as UTF-8. */
  text(): string {
    return textOf(this.value)
  }

  /** The value parsed as JSON. @throws SyntaxError */
  json(): unknown {
    return JSON.parse(this.text())
  }
}

export const toRow = (row: RowMessage): Row =>
  new Row(row.key, row.value, row.version, row.partition, row.expiresAtMs, row.contentType)

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
