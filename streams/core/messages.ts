/**
 * The values of `pack` and `txn` records: proto/tidemark/v1/record.proto, read and written by hand, because what
 * these bytes mean is FROZEN while generated code may change. Reading is strict: fields in rising order, each at most once
 * unless repeated, no unknown field, no default value spelled out in more bytes than needed. Every protobuf serializer writes that.
 */
import { crc32 } from 'node:zlib'
import { ByteReader, ByteWriter, EMPTY, MALFORMED } from './bytes.ts'
import {
  FIXED32,
  SIZED,
  VARINT,
  bytesField,
  expectType,
  nextField,
  optionalNumber,
  textField,
} from './message-fields.ts'
import { PACK_MUTATIONS_MAX, TXN_OPERATIONS_MAX } from './limits.ts'
import type {
  Compare,
  CompareOperator,
  RowMutation,
  TransactionChange,
  TransactionMutation,
} from './mutation.ts'
import type { Offset } from './types.ts'
import { unreachable } from './assert.ts'

const KINDS = { put: 1, delete: 2, increment: 3 } as const
const OPERATORS: readonly CompareOperator[] = ['equal', 'not-equal', 'greater', 'less']

/**
 * One mutation as a pack spells it; its fields are checked later, each on its own, so that one bad one spoils no other. A number of
 * 2^53 or more is Infinity.
 */
export interface RawMutation {
  kind: number
  key: Uint8Array
  value: Uint8Array
  ifVersion: number | undefined
  ttlMs: number | undefined
  requestId: Uint8Array
  contentType: Uint8Array
  traceparent: Uint8Array
}

/** @throws MALFORMED, also when the checksum does not fit. */
export function readPack(value: Uint8Array): RawMutation[] {
  const reader = new ByteReader(value)
  if (reader.byte() !== ((1 << 3) | FIXED32)) throw MALFORMED
  const checksum = reader.uint32le()
  if (crc32(value.subarray(reader.at)) !== checksum) throw MALFORMED
  const mutations: RawMutation[] = []
  while (!reader.done) {
    if (reader.byte() !== ((2 << 3) | SIZED)) throw MALFORMED
    if (mutations.length === PACK_MUTATIONS_MAX) throw MALFORMED
    const outer = reader.open(reader.varint())
    mutations.push(readMutation(reader))
    reader.close(outer)
  }
  if (mutations.length === 0) throw MALFORMED
  return mutations
}

/** All fields absent, as protobuf has it. */
const noMutation = (): RawMutation => ({
  kind: 0,
  key: EMPTY,
  value: EMPTY,
  ifVersion: undefined,
  ttlMs: undefined,
  requestId: EMPTY,
  contentType: EMPTY,
  traceparent: EMPTY,
})

function readMutation(reader: ByteReader): RawMutation {
  const raw = noMutation()
  let previous = 0
  while (!reader.done) {
    const { field, type } = nextField(reader, previous, 0)
    previous = field
    expectType(type, field === 1 || field === 4 || field === 5 ? VARINT : SIZED)
    if (field === 1) raw.kind = reader.varint64()
    else if (field === 2) raw.key = reader.sized()
    else if (field === 3) raw.value = reader.sized()
    else if (field === 4) raw.ifVersion = reader.varint64()
    else if (field === 5) raw.ttlMs = reader.varint64()
    else if (field === 6) raw.requestId = reader.sized()
    else if (field === 7) raw.contentType = reader.sized()
    else if (field === 8) raw.traceparent = reader.sized()
    else throw MALFORMED
  }
  return raw
}

/** A pack that is being filled. The bytes are those that protobuf's own serializers would write. */
export class PackWriter {
  readonly #writer = new ByteWriter(4096)
  #mutations = 0

  constructor() {
    this.#begin()
  }

  #begin(): void {
    this.#writer.byte((1 << 3) | FIXED32)
    this.#writer.uint32le(0)
    this.#mutations = 0
  }

  get mutations(): number {
    return this.#mutations
  }

  get bytes(): number {
    return this.#writer.length
  }

  add(mutation: RowMutation): void {
    const writer = this.#writer
    const value =
      mutation.kind === 'put'
        ? mutation.value
        : mutation.kind === 'increment'
          ? Buffer.from(mutation.delta.toString(), 'latin1')
          : EMPTY
    const ttlMs = mutation.kind === 'delete' ? undefined : mutation.ttlMs
    const contentType = mutation.kind === 'put' ? (mutation.contentType ?? '') : ''
    const requestId = mutation.requestId ?? ''
    const traceparent = mutation.traceparent ?? ''
    const size =
      2 +
      sizedField(mutation.key.length) +
      sizedField(value.length) +
      numberField(mutation.ifVersion) +
      numberField(ttlMs) +
      sizedField(Buffer.byteLength(requestId)) +
      sizedField(Buffer.byteLength(contentType)) +
      sizedField(Buffer.byteLength(traceparent))
    writer.byte((2 << 3) | SIZED)
    writer.varint(size)
    writer.byte((1 << 3) | VARINT)
    writer.byte(KINDS[mutation.kind])
    bytesField(writer, 2, mutation.key)
    bytesField(writer, 3, value)
    optionalNumber(writer, 4, mutation.ifVersion)
    optionalNumber(writer, 5, ttlMs)
    textField(writer, 6, requestId)
    textField(writer, 7, contentType)
    textField(writer, 8, traceparent)
    this.#mutations += 1
  }

  /** The finished value; the writer starts anew. */
  finish(): Buffer {
    this.#writer.patchUint32le(1, crc32(this.#writer.view(5)))
    const bytes = this.#writer.bytes()
    this.#begin()
    return bytes
  }
}

const varintBytes = (value: number): number => {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1
  return bytes
}
const sizedField = (length: number): number => (length === 0 ? 0 : 1 + varintBytes(length) + length)
const numberField = (value: number | undefined): number => (value === undefined ? 0 : 1 + varintBytes(value))

export interface RawTransaction {
  readonly compares: readonly Compare[]
  readonly thenChanges: readonly RawMutation[]
  readonly elseChanges: readonly RawMutation[]
}

/** @throws MALFORMED */
export function readTransaction(value: Uint8Array): RawTransaction {
  const reader = new ByteReader(value)
  const lists = { 1: [] as Compare[], 2: [] as RawMutation[], 3: [] as RawMutation[] }
  let previous = 0
  while (!reader.done) {
    const { field, type } = nextField(reader, previous, previous)
    previous = field
    expectType(type, SIZED)
    const message = reader.sized()
    if (field === 1) lists[1].push(readCompare(new ByteReader(message)))
    else if (field === 2) lists[2].push(readChange(new ByteReader(message)))
    else if (field === 3) lists[3].push(readChange(new ByteReader(message)))
    else throw MALFORMED
    if (Math.max(lists[1].length, lists[2].length, lists[3].length) > TXN_OPERATIONS_MAX) throw MALFORMED
  }
  return { compares: lists[1], thenChanges: lists[2], elseChanges: lists[3] }
}

function readCompare(reader: ByteReader): Compare {
  let key: Uint8Array = EMPTY
  let operator: CompareOperator | undefined
  let version: number | undefined
  let value: Uint8Array | undefined
  let previous = 0
  while (!reader.done) {
    const { field, type } = nextField(reader, previous, 0)
    previous = field
    expectType(type, field === 1 || field === 4 ? SIZED : VARINT)
    if (field === 1) key = reader.sized()
    else if (field === 2) operator = OPERATORS[reader.varint() - 1]
    else if (field === 3) version = reader.varint()
    else if (field === 4) value = reader.sized()
    else throw MALFORMED
  }
  if (operator === undefined) throw MALFORMED
  if (version !== undefined && value === undefined)
    return { key, operator, target: 'version', version: version as Offset }
  if (value !== undefined && version === undefined) return { key, operator, target: 'value', value }
  throw MALFORMED
}

function readChange(reader: ByteReader): RawMutation {
  const raw = noMutation()
  let previous = 0
  while (!reader.done) {
    const { field, type } = nextField(reader, previous, 0)
    previous = field
    expectType(type, field === 1 || field === 4 ? VARINT : SIZED)
    if (field === 1) raw.kind = reader.varint64()
    else if (field === 2) raw.key = reader.sized()
    else if (field === 3) raw.value = reader.sized()
    else if (field === 4) raw.ttlMs = reader.varint64()
    else if (field === 5) raw.contentType = reader.sized()
    else throw MALFORMED
  }
  return raw
}

export function writeTransaction(mutation: TransactionMutation): Buffer {
  const writer = new ByteWriter()
  for (const compare of mutation.compares) {
    const inner = new ByteWriter()
    bytesField(inner, 1, compare.key)
    inner.byte((2 << 3) | VARINT)
    inner.byte(OPERATORS.indexOf(compare.operator) + 1)
    if (compare.target === 'version') {
      inner.byte((3 << 3) | VARINT)
      inner.varint(compare.version)
    } else {
      inner.byte((4 << 3) | SIZED)
      inner.sized(compare.value)
    }
    writer.byte((1 << 3) | SIZED)
    writer.sized(inner.view())
  }
  writeChanges(writer, 2, mutation.thenChanges)
  writeChanges(writer, 3, mutation.elseChanges)
  return writer.bytes()
}

function writeChanges(writer: ByteWriter, field: number, changes: readonly TransactionChange[]): void {
  for (const change of changes) {
    const inner = new ByteWriter()
    inner.byte((1 << 3) | VARINT)
    inner.byte(KINDS[change.kind])
    bytesField(inner, 2, change.key)
    switch (change.kind) {
      case 'put':
        bytesField(inner, 3, change.value)
        optionalNumber(inner, 4, change.ttlMs)
        textField(inner, 5, change.contentType ?? '')
        break
      case 'increment':
        bytesField(inner, 3, Buffer.from(change.delta.toString(), 'latin1'))
        optionalNumber(inner, 4, change.ttlMs)
        break
      case 'delete':
        break
      default:
        unreachable(change)
    }
    writer.byte((field << 3) | SIZED)
    writer.sized(inner.view())
  }
}
