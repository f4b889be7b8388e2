/**
 * The codec of Pipeline frames, written by hand: frames carry hundreds of operations, and the generated code, which reads
 * 64-bit numbers through bigint and text and copies all bytes, costs more than all the rest of their way. It is wire
 * compatible with proto/tidemark/v1/key_value_service.proto (a test holds it against the generated code, both ways), and
 * is used by the node and by the client.
 *
 * Ownership: decoded keys and values are views of the frame; who keeps one for long copies it.
 */
import { TidemarkError } from '../streams/core/errors.ts'
import { FRAME_OPERATIONS_MAX } from '../streams/core/limits.ts'
import {
  PipelineDetails,
  type PipelineOperation,
  type PipelineOperationKind,
  type PipelineRequest,
  type PipelineResponse,
  type PipelineResult,
  TransactRequest,
  TransactResult,
} from '../proto/generated/tidemark/v1/key_value_service.ts'
import { type Consistency, type Durability, Token } from '../proto/generated/tidemark/v1/types.ts'
import { WireReader, WireWriter, bytesSize, decodeGenerated, textSize, varintSize } from './wire.ts'

const VARINT = 0
const BYTES = 2
const tag = (field: number, wireType: number): number => (field << 3) | wireType

const EMPTY = Buffer.alloc(0)

// ---- frames of operations -------------------------------------------------------------------------------------

/** An operation with nothing set; the base that a caller spreads or fills. */
export const newOperation = (id: number, kind: PipelineOperationKind, key: Buffer): PipelineOperation => ({
  id,
  kind,
  key,
  value: EMPTY,
  ifVersion: undefined,
  ttlMs: undefined,
  contentType: '',
  delta: '0',
  sequence: undefined,
  transaction: undefined,
  requestId: '',
  traceparent: '',
})

export function encodePipelineRequest(frame: PipelineRequest): Buffer {
  const token = frame.token === undefined ? undefined : Token.encode(frame.token).finish()
  const transactions = new Map<PipelineOperation, Uint8Array>()
  const sizes: number[] = []
  let size =
    textSize(frame.keyspace) + textSize(frame.session) + (token === undefined ? 0 : bytesSize(token)) + 12
  for (const operation of frame.operations) {
    const own = operationSize(operation, transactions)
    sizes.push(own)
    size += 1 + varintSize(own) + own
  }
  const writer = new WireWriter(size)
  writer.text(tag(1, BYTES), frame.keyspace)
  if (frame.consistency !== 0) writer.number(tag(2, VARINT), frame.consistency)
  if (token !== undefined) writer.sized(tag(3, BYTES), token)
  if (frame.durability !== 0) writer.number(tag(4, VARINT), frame.durability)
  writer.text(tag(5, BYTES), frame.session)
  frame.operations.forEach((operation, index) => {
    writer.number(tag(6, BYTES), sizes[index] ?? 0)
    writeOperation(writer, operation, transactions)
  })
  if (frame.timeoutMs !== 0) writer.number(tag(7, VARINT), frame.timeoutMs)
  if (frame.details) writer.number(tag(8, VARINT), 1)
  return writer.finish()
}

function operationSize(
  operation: PipelineOperation,
  transactions: Map<PipelineOperation, Uint8Array>,
): number {
  let size = 0
  if (operation.id !== 0) size += 1 + varintSize(operation.id)
  if (operation.kind !== 0) size += 2
  if (operation.key.length !== 0) size += bytesSize(operation.key)
  if (operation.value.length !== 0) size += bytesSize(operation.value)
  if (operation.ifVersion !== undefined) size += 1 + varintSize(operation.ifVersion)
  if (operation.ttlMs !== undefined) size += 1 + varintSize(operation.ttlMs)
  size += textSize(operation.contentType)
  if (operation.delta !== '0') size += 1 + int64Size(operation.delta)
  if (operation.sequence !== undefined) size += 1 + varintSize(operation.sequence)
  if (operation.transaction !== undefined) {
    const bytes = TransactRequest.encode(operation.transaction).finish()
    transactions.set(operation, bytes)
    size += bytesSize(bytes)
  }
  return size + textSize(operation.requestId) + textSize(operation.traceparent)
}

function writeOperation(
  writer: WireWriter,
  operation: PipelineOperation,
  transactions: Map<PipelineOperation, Uint8Array>,
): void {
  if (operation.id !== 0) writer.number(tag(1, VARINT), operation.id)
  if (operation.kind !== 0) writer.number(tag(2, VARINT), operation.kind)
  if (operation.key.length !== 0) writer.sized(tag(3, BYTES), operation.key)
  if (operation.value.length !== 0) writer.sized(tag(4, BYTES), operation.value)
  if (operation.ifVersion !== undefined) writer.number(tag(5, VARINT), operation.ifVersion)
  if (operation.ttlMs !== undefined) writer.number(tag(6, VARINT), operation.ttlMs)
  writer.text(tag(7, BYTES), operation.contentType)
  if (operation.delta !== '0') writer.int64(tag(8, VARINT), operation.delta)
  if (operation.sequence !== undefined) writer.number(tag(9, VARINT), operation.sequence)
  const transaction = transactions.get(operation)
  if (transaction !== undefined) writer.sized(tag(10, BYTES), transaction)
  writer.text(tag(11, BYTES), operation.requestId)
  writer.text(tag(12, BYTES), operation.traceparent)
}

/** @throws TidemarkError MESSAGE_MALFORMED, or BATCH_TOO_LARGE before a frame of too many operations costs memory */
export function decodePipelineRequest(bytes: Uint8Array): PipelineRequest {
  const reader = new WireReader(bytes)
  const frame: PipelineRequest = {
    keyspace: '',
    consistency: 0,
    token: undefined,
    durability: 0,
    session: '',
    operations: [],
    timeoutMs: 0,
    details: false,
  }
  while (reader.at < reader.end) {
    const next = reader.tag()
    if (next === tag(6, BYTES)) {
      if (frame.operations.length === FRAME_OPERATIONS_MAX) throw tooManyOperations()
      frame.operations.push(readOperation(reader))
    } else if (next === tag(1, BYTES)) frame.keyspace = reader.text()
    else if (next === tag(2, VARINT)) frame.consistency = reader.int32() as Consistency
    else if (next === tag(3, BYTES)) frame.token = decodeGenerated(Token, reader.bytes())
    else if (next === tag(4, VARINT)) frame.durability = reader.int32() as Durability
    else if (next === tag(5, BYTES)) frame.session = reader.text()
    else if (next === tag(7, VARINT)) frame.timeoutMs = reader.uint32()
    else if (next === tag(8, VARINT)) frame.details = reader.bool()
    else reader.skip(next)
  }
  return frame
}

const tooManyOperations = (): TidemarkError =>
  new TidemarkError(
    'BATCH_TOO_LARGE',
    `a frame holds at most ${FRAME_OPERATIONS_MAX} operations; send the others in another frame`,
    { metadata: { field: 'operations', limit: String(FRAME_OPERATIONS_MAX) } },
  )

function readOperation(reader: WireReader): PipelineOperation {
  const end = reader.open()
  const operation = newOperation(0, 0, EMPTY)
  while (reader.at < reader.end) {
    const next = reader.tag()
    switch (next) {
      case tag(1, VARINT):
        operation.id = reader.uint()
        break
      case tag(2, VARINT):
        operation.kind = reader.int32() as PipelineOperationKind
        break
      case tag(3, BYTES):
        operation.key = reader.bytes()
        break
      case tag(4, BYTES):
        operation.value = reader.bytes()
        break
      case tag(5, VARINT):
        operation.ifVersion = reader.uint()
        break
      case tag(6, VARINT):
        operation.ttlMs = reader.uint()
        break
      case tag(7, BYTES):
        operation.contentType = reader.text()
        break
      case tag(8, VARINT):
        operation.delta = reader.int64()
        break
      case tag(9, VARINT):
        operation.sequence = reader.uint()
        break
      case tag(10, BYTES):
        operation.transaction = decodeGenerated(TransactRequest, reader.bytes())
        break
      case tag(11, BYTES):
        operation.requestId = reader.text()
        break
      case tag(12, BYTES):
        operation.traceparent = reader.text()
        break
      default:
        reader.skip(next)
    }
  }
  reader.close(end)
  return operation
}

// ---- frames of results ----------------------------------------------------------------------------------------

/** A result with nothing set. */
export const newResult = (id: number): PipelineResult => ({
  id,
  reason: '',
  message: '',
  partition: 0,
  applied: undefined,
  version: undefined,
  value: EMPTY,
  expiresAtMs: 0,
  contentType: '',
  number: undefined,
  succeeded: undefined,
  results: [],
  duplicate: false,
  details: undefined,
})

/** Bytes of a result inside a frame, about; to cut frames. */
export const resultSizeAbout = (result: PipelineResult): number => 32 + result.value.length

export function encodePipelineResponse(frame: PipelineResponse): Buffer {
  const reads = new Map<PipelineResult, Uint8Array[]>()
  const details = new Map<PipelineResult, Uint8Array>()
  const sizes: number[] = []
  let size = textSize(frame.logIdentity) + textSize(frame.nodeId)
  for (const result of frame.results) {
    const own = resultSize(result, reads, details)
    sizes.push(own)
    size += 1 + varintSize(own) + own
  }
  const writer = new WireWriter(size)
  frame.results.forEach((result, index) => {
    writer.number(tag(1, BYTES), sizes[index] ?? 0)
    writeResult(writer, result, reads, details)
  })
  writer.text(tag(2, BYTES), frame.logIdentity)
  writer.text(tag(3, BYTES), frame.nodeId)
  return writer.finish()
}

function resultSize(
  result: PipelineResult,
  reads: Map<PipelineResult, Uint8Array[]>,
  details: Map<PipelineResult, Uint8Array>,
): number {
  let size = 0
  if (result.id !== 0) size += 1 + varintSize(result.id)
  size += textSize(result.reason) + textSize(result.message)
  if (result.partition !== 0) size += 1 + varintSize(result.partition)
  if (result.applied !== undefined) size += 1 + varintSize(result.applied)
  if (result.version !== undefined) size += 1 + varintSize(result.version)
  if (result.value.length !== 0) size += bytesSize(result.value)
  if (result.expiresAtMs !== 0) size += 1 + varintSize(result.expiresAtMs)
  size += textSize(result.contentType)
  if (result.number !== undefined) size += 1 + int64Size(result.number)
  if (result.succeeded !== undefined) size += 2
  if (result.results.length !== 0) {
    const encoded = result.results.map((read) => TransactResult.encode(read).finish())
    reads.set(result, encoded)
    for (const bytes of encoded) size += bytesSize(bytes)
  }
  if (result.duplicate) size += 2
  if (result.details !== undefined) {
    const bytes = PipelineDetails.encode(result.details).finish()
    details.set(result, bytes)
    size += bytesSize(bytes)
  }
  return size
}

function writeResult(
  writer: WireWriter,
  result: PipelineResult,
  reads: Map<PipelineResult, Uint8Array[]>,
  details: Map<PipelineResult, Uint8Array>,
): void {
  if (result.id !== 0) writer.number(tag(1, VARINT), result.id)
  writer.text(tag(2, BYTES), result.reason)
  writer.text(tag(3, BYTES), result.message)
  if (result.partition !== 0) writer.number(tag(4, VARINT), result.partition)
  if (result.applied !== undefined) writer.number(tag(5, VARINT), result.applied)
  if (result.version !== undefined) writer.number(tag(6, VARINT), result.version)
  if (result.value.length !== 0) writer.sized(tag(7, BYTES), result.value)
  if (result.expiresAtMs !== 0) writer.number(tag(8, VARINT), result.expiresAtMs)
  writer.text(tag(9, BYTES), result.contentType)
  if (result.number !== undefined) writer.int64(tag(10, VARINT), result.number)
  if (result.succeeded !== undefined) writer.number(tag(11, VARINT), result.succeeded ? 1 : 0)
  if (result.results.length !== 0) {
    for (const bytes of reads.get(result) ?? []) writer.sized(tag(12, BYTES), bytes)
  }
  if (result.duplicate) writer.number(tag(13, VARINT), 1)
  const detailed = details.get(result)
  if (detailed !== undefined) writer.sized(tag(14, BYTES), detailed)
}

/** @throws TidemarkError MESSAGE_MALFORMED */
export function decodePipelineResponse(bytes: Uint8Array): PipelineResponse {
  const reader = new WireReader(bytes)
  const frame: PipelineResponse = { results: [], logIdentity: '', nodeId: '' }
  while (reader.at < reader.end) {
    const next = reader.tag()
    if (next === tag(1, BYTES)) frame.results.push(readResult(reader))
    else if (next === tag(2, BYTES)) frame.logIdentity = reader.text()
    else if (next === tag(3, BYTES)) frame.nodeId = reader.text()
    else reader.skip(next)
  }
  return frame
}

function readResult(reader: WireReader): PipelineResult {
  const end = reader.open()
  const result = newResult(0)
  while (reader.at < reader.end) {
    const next = reader.tag()
    switch (next) {
      case tag(1, VARINT):
        result.id = reader.uint()
        break
      case tag(2, BYTES):
        result.reason = reader.text()
        break
      case tag(3, BYTES):
        result.message = reader.text()
        break
      case tag(4, VARINT):
        result.partition = reader.uint32()
        break
      case tag(5, VARINT):
        result.applied = reader.uint()
        break
      case tag(6, VARINT):
        result.version = reader.uint()
        break
      case tag(7, BYTES):
        result.value = reader.bytes()
        break
      case tag(8, VARINT):
        result.expiresAtMs = reader.uint()
        break
      case tag(9, BYTES):
        result.contentType = reader.text()
        break
      case tag(10, VARINT):
        result.number = reader.int64()
        break
      case tag(11, VARINT):
        result.succeeded = reader.bool()
        break
      case tag(12, BYTES):
        result.results.push(decodeGenerated(TransactResult, reader.bytes()))
        break
      case tag(13, VARINT):
        result.duplicate = reader.bool()
        break
      case tag(14, BYTES):
        result.details = decodeGenerated(PipelineDetails, reader.bytes())
        break
      default:
        reader.skip(next)
    }
  }
  reader.close(end)
  return result
}

const int64Size = (text: string): number => {
  const value = BigInt(text)
  return value < 0n ? 10 : varintSize64(value)
}
const varintSize64 = (value: bigint): number => Math.max(1, Math.ceil(value.toString(2).length / 7))
