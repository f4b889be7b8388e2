/**
 * Messages of watches as bytes, by hand: each event, and each token, is encoded once for all watchers that get the same object of it
 * (streams/replica/watch-events.ts, fanout.ts), and so is a whole message that the watcher before got too. Wire compatible with
 * proto/tidemark/v1/key_value_service.proto; a test holds it against the generated code.
 */
import { asBuffer } from '../../streams/core/bytes.ts'
import type { Row } from '../../streams/core/mutation.ts'
import type { Partition, Position } from '../../streams/core/types.ts'
import type { WatchEvent, WatchMark, WatchMessage } from '../../streams/face.ts'
import { WatchMark as MarkNumber } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { Token } from '../../proto/generated/tidemark/v1/types.ts'
import { WireWriter, bytesSize, encodeGenerated, textSize, varintSize } from '../wire.ts'
import { KIND_NUMBERS, tokenMessage } from './messages.ts'

const VARINT = 0
const BYTES = 2
const tag = (field: number, wireType: number): number => (field << 3) | wireType

const MARK_NUMBERS = {
  events: MarkNumber.WATCH_MARK_UNSPECIFIED,
  'initial-end': MarkNumber.WATCH_MARK_INITIAL_END,
  progress: MarkNumber.WATCH_MARK_PROGRESS,
  'delta-begin': MarkNumber.WATCH_MARK_DELTA_BEGIN,
} as const satisfies Record<WatchMark, MarkNumber>

export class WatchEncoder {
  readonly #logIdentity: string
  readonly #events = new WeakMap<WatchEvent, Buffer>()
  readonly #tokens = new WeakMap<readonly Position[], Buffer>()
  #last: { readonly message: WatchMessage; readonly bytes: Buffer } | undefined

  constructor(logIdentity: string) {
    this.#logIdentity = logIdentity
  }

  encode(message: WatchMessage): Buffer {
    if (this.#last !== undefined && areSame(this.#last.message, message)) return this.#last.bytes
    const bytes = this.#encode(message)
    this.#last = { message, bytes }
    return bytes
  }

  #encode({ events, positions, mark }: WatchMessage): Buffer {
    const token = this.#token(positions)
    const encoded = events.map((event) => this.#event(event))
    let size = bytesSize(token) + 2
    for (const event of encoded) size += bytesSize(event)
    const writer = new WireWriter(size)
    for (const event of encoded) writer.sized(tag(1, BYTES), event)
    writer.sized(tag(2, BYTES), token)
    const number = MARK_NUMBERS[mark]
    if (number !== MarkNumber.WATCH_MARK_UNSPECIFIED) writer.number(tag(3, VARINT), number)
    return writer.finish()
  }

  #token(positions: readonly Position[]): Buffer {
    let bytes = this.#tokens.get(positions)
    if (bytes === undefined) {
      bytes = encodeGenerated(Token, tokenMessage(this.#logIdentity, positions))
      this.#tokens.set(positions, bytes)
    }
    return bytes
  }

  #event(event: WatchEvent): Buffer {
    let bytes = this.#events.get(event)
    if (bytes === undefined) {
      bytes = encodeEvent(event)
      this.#events.set(event, bytes)
    }
    return bytes
  }
}

const areSame = (one: WatchMessage, other: WatchMessage): boolean =>
  one.mark === other.mark &&
  one.positions === other.positions &&
  one.events.length === other.events.length &&
  one.events.every((event, at) => event === other.events[at])

function encodeEvent({ kind, row, partition, time, previous, traceparent = '' }: WatchEvent): Buffer {
  const rowBytes = encodeRow(row, partition)
  const previousBytes = previous === undefined ? undefined : encodeRow(previous, partition)
  const writer = new WireWriter(
    2 +
      bytesSize(rowBytes) +
      numberSize(time) +
      (previousBytes === undefined ? 0 : bytesSize(previousBytes)) +
      textSize(traceparent),
  )
  writer.number(tag(1, VARINT), KIND_NUMBERS[kind])
  writer.sized(tag(2, BYTES), rowBytes)
  if (time !== 0) writer.number(tag(3, VARINT), time)
  if (previousBytes !== undefined) writer.sized(tag(4, BYTES), previousBytes)
  writer.text(tag(5, BYTES), traceparent)
  return writer.finish()
}

function encodeRow({ key, value, version, expiresAt, contentType }: Row, partition: Partition): Buffer {
  const writer = new WireWriter(
    (key.length === 0 ? 0 : bytesSize(key)) +
      (value.length === 0 ? 0 : bytesSize(value)) +
      numberSize(version) +
      numberSize(partition) +
      numberSize(expiresAt) +
      textSize(contentType),
  )
  if (key.length !== 0) writer.sized(tag(1, BYTES), asBuffer(key))
  if (value.length !== 0) writer.sized(tag(2, BYTES), asBuffer(value))
  if (version !== 0) writer.number(tag(3, VARINT), version)
  if (partition !== 0) writer.number(tag(4, VARINT), partition)
  if (expiresAt !== 0) writer.number(tag(5, VARINT), expiresAt)
  writer.text(tag(6, BYTES), contentType)
  return writer.finish()
}

/** Of a field, which 0 leaves out. */
const numberSize = (value: number): number => (value === 0 ? 0 : 1 + varintSize(value))
