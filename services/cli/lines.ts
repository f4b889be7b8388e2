/**
 * Lines of a byte stream, split at the byte 0x0a only: JSON may hold U+2028 and U+2029 as they are, which node:readline takes
 * for line ends. A carriage return before the end is dropped, a byte order mark at the start too.
 */
import { IMPORT_LINE_BYTES_MAX } from '../../streams/core/limits.ts'

export interface Line {
  /** From 1. */
  readonly number: number
  /** Undefined: longer than IMPORT_LINE_BYTES_MAX; it was skipped without being kept. */
  readonly bytes: Buffer | undefined
}

export async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  let number = 1
  let parts: Buffer[] = []
  let length = 0
  const take = (part: Buffer): void => {
    length += part.length
    if (length > IMPORT_LINE_BYTES_MAX) parts = []
    else parts.push(part)
  }
  const line = (): Line => {
    const bytes = length > IMPORT_LINE_BYTES_MAX ? undefined : trimmed(Buffer.concat(parts), number)
    const made = { number, bytes }
    number += 1
    parts = []
    length = 0
    return made
  }
  for await (const chunk of input) {
    let from = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      take(chunk.subarray(from, end))
      from = end + 1
      yield line()
    }
    if (from < chunk.length) take(chunk.subarray(from))
  }
  if (length > 0) yield line()
}

const BYTE_ORDER_MARK = Buffer.of(0xef, 0xbb, 0xbf)

function trimmed(bytes: Buffer, number: number): Buffer {
  const marked = number === 1 && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)
  return bytes.subarray(marked ? 3 : 0, bytes.at(-1) === 0x0d ? -1 : undefined)
}
