/** The unary calls of KeyValueService: check, call the face, answer. */
import { randomBytes } from 'node:crypto'
import type {
  BarrierRequest,
  BarrierResponse,
  BatchGetRequest,
  BatchGetResponse,
  DeleteRequest,
  GetOutcomeRequest,
  GetOutcomeResponse,
  GetRequest,
  GetResponse,
  HistoryRequest,
  HistoryResponse,
  IncrementRequest,
  PutRequest,
  PutResponse,
  TransactRequest,
  TransactResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { KeyValueServiceService as methods } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import {
  Consistency as ConsistencyNumber,
  type Row as RowMessage,
} from '../../proto/generated/tidemark/v1/types.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'
import { FRAME_OPERATIONS_MAX, KEY_BYTES_MAX, MESSAGE_BYTES_MAX } from '../../streams/core/limits.ts'
import { offset, partition } from '../../streams/core/types.ts'
import type {
  Consistency,
  Freshness,
  Keyspace,
  Provenance,
  WriteOptions,
  WriteResult,
} from '../../streams/face.ts'
import { type HandlersOf, type Serving, type Unary, deadlineOf, nodeFor, unary } from './calls.ts'
import type { keyValueDefinition } from './definitions.ts'
import {
  barrierMessage,
  consistencyMessage,
  headerMessage,
  outcomeMessage,
  rejectionError,
  rowMessage,
  tokenMessage,
  watchEventMessage,
  writeHeaderMessage,
} from './messages.ts'
import { toDelete, toIncrement, toPut } from './mutations.ts'
import { traceparentOf } from './trace-context.ts'
import { toTransaction, transactResults } from './transact.ts'
import {
  checkConsistency,
  checkDurability,
  checkKey,
  checkToken,
  keyspaceName,
  refuse,
  refuseField,
} from './validate.ts'

interface Reading {
  readonly consistency: number
  readonly token: Parameters<typeof checkToken>[0]
  readonly asOf?: Parameters<typeof checkToken>[0]
}

const freshnessOf = (request: Reading, call: Parameters<typeof deadlineOf>[0]): Freshness => ({
  consistency: checkConsistency(request.consistency),
  token: checkToken(request.token),
  asOf: checkToken(request.asOf, 'as_of'),
  deadline: deadlineOf(call),
})

interface Writing {
  readonly durability: number
}

const optionsOf = (request: Writing, call: Parameters<typeof deadlineOf>[0]): WriteOptions => ({
  durability: checkDurability(request.durability),
  deadline: deadlineOf(call),
})

type KeyValueUnary = Omit<HandlersOf<typeof keyValueDefinition>, 'scan' | 'watch' | 'pipeline'>

export function keyValueUnary(serving: Serving): KeyValueUnary {
  const { nodeId, logIdentity } = serving.node.description
  const find = (name: string, call: Parameters<typeof nodeFor>[1]): Keyspace =>
    nodeFor(serving, call).keyspace(keyspaceName(name))

  /** The answer to a write; a rejection is an error. */
  const wrote = (request: { readonly keyspace: string }, written: WriteResult): PutResponse => {
    const name = keyspaceName(request.keyspace)
    const { outcome, partition } = written
    if (outcome?.status === 'rejected') throw rejectionError(name, partition, outcome)
    return {
      header: writeHeaderMessage(nodeId, name, written),
      outcome: outcome === undefined ? undefined : outcomeMessage(name, partition, outcome),
    }
  }

  const get: Unary<GetRequest, GetResponse> = async (request, call) => {
    const { key, atVersion } = request
    const keyspace = find(request.keyspace, call)
    const traces = serving.tracing && new Map([[key, traceparentOf(call)]])
    const freshness = { ...freshnessOf(request, call), traces }
    if (atVersion !== undefined && freshness.asOf !== undefined)
      throw refuseField('as_of', 'a read has either as_of or at_version, not both')
    const read =
      atVersion === undefined
        ? await keyspace.get(key, freshness)
        : await keyspace.getAt(key, offset(atVersion), freshness)
    return {
      header: headerMessage(nodeId, keyspaceName(request.keyspace), read),
      row: read.row === undefined ? undefined : rowMessage(read.row, read.partition),
    }
  }

  const batchGet: Unary<BatchGetRequest, BatchGetResponse> = async (request, call) => {
    const { keys } = request
    if (keys.length > FRAME_OPERATIONS_MAX) throw tooManyKeys(keys.length)
    keys.forEach((key, index) => {
      if (key.length === 0 || key.length > KEY_BYTES_MAX) checkKey(key, `keys[${index}]`)
    })
    const keyspace = find(request.keyspace, call)
    const read = await keyspace.getMany(keys, freshnessOf(request, call))
    const rows: RowMessage[] = []
    let bytes = 0
    for (const row of read.rows) {
      if (row === undefined) continue
      bytes += row.value.length + row.key.length
      if (bytes > MESSAGE_BYTES_MAX) throw tooManyBytes()
      rows.push(rowMessage(row, keyspace.partitionOf(row.key)))
    }
    const name = keyspaceName(request.keyspace)
    const positions = read.provenance.flatMap(({ partition, applied }) =>
      applied === undefined ? [] : [{ keyspace: name, partition, offset: applied }],
    )
    return {
      rows,
      token: tokenMessage(logIdentity, positions),
      nodeId,
      consistency: weakest(read.provenance),
    }
  }

  const put: Unary<PutRequest, PutResponse> = async (request, call) => {
    const mutation = toPut(request, request.requestId, traceparentOf(call))
    return wrote(request, await find(request.keyspace, call).write(mutation, optionsOf(request, call)))
  }

  const remove: Unary<DeleteRequest, PutResponse> = async (request, call) => {
    const mutation = toDelete(request, request.requestId, traceparentOf(call))
    return wrote(request, await find(request.keyspace, call).write(mutation, optionsOf(request, call)))
  }

  const increment: Unary<IncrementRequest, PutResponse> = async (request, call) => {
    const mutation = toIncrement(request, request.requestId, traceparentOf(call))
    return wrote(request, await find(request.keyspace, call).write(mutation, optionsOf(request, call)))
  }

  const transact: Unary<TransactRequest, TransactResponse> = async (request, call) => {
    const keyspace = find(request.keyspace, call)
    const { mutation, reads } = toTransaction(keyspace, request, request.requestId, traceparentOf(call))
    const written = await keyspace.write(mutation, optionsOf(request, call), reads)
    const taken = written.outcome?.status === 'applied' ? written.outcome.succeeded : undefined
    return {
      ...wrote(request, written),
      results: taken === undefined ? [] : transactResults(request, taken, written.reads, written.partition),
    }
  }

  const history: Unary<HistoryRequest, HistoryResponse> = async (request, call) => {
    const found = await find(request.keyspace, call).history(
      request.key,
      request.limit,
      freshnessOf(request, call),
    )
    return {
      header: headerMessage(nodeId, keyspaceName(request.keyspace), found),
      versions: found.versions.map(watchEventMessage),
      earliestVersion: found.earliest ?? 0,
    }
  }

  const getOutcome: Unary<GetOutcomeRequest, GetOutcomeResponse> = async (request, call) => {
    const position = request.position
    if (position === undefined) throw refuseField('position', 'it is missing')
    const name = keyspaceName(position.keyspace)
    const place = partition(position.partition)
    const found = await find(name, call).outcome(place, offset(position.offset), deadlineOf(call))
    return {
      header: headerMessage(nodeId, name, found),
      outcomes: found.outcomes.map((outcome) => outcomeMessage(name, place, outcome)),
      timeMs: found.time,
    }
  }

  const barrier: Unary<BarrierRequest, BarrierResponse> = async (request, call) => {
    const name = keyspaceName(request.keyspace)
    const keyspace = find(request.keyspace, call)
    const place = partition(request.partition)
    const deadline = deadlineOf(call)
    const id = request.requestId === '' ? randomBytes(12).toString('hex') : request.requestId
    const stands = request.onlyLook
      ? await keyspace.findBarrier(place, id, deadline)
      : await keyspace.barrier(place, id, deadline)
    return barrierMessage(nodeId, name, stands)
  }

  return {
    get: unary(serving, methods.get, get),
    batchGet: unary(serving, methods.batchGet, batchGet),
    put: unary(serving, methods.put, put),
    delete: unary(serving, methods.delete, remove),
    increment: unary(serving, methods.increment, increment),
    transact: unary(serving, methods.transact, transact),
    history: unary(serving, methods.history, history),
    getOutcome: unary(serving, methods.getOutcome, getOutcome),
    barrier: unary(serving, methods.barrier, barrier),
  }
}

const tooManyKeys = (count: number): TidemarkError =>
  refuse('BATCH_TOO_LARGE', `a BatchGet takes ${FRAME_OPERATIONS_MAX} keys, this one has ${count}`, 'keys', {
    limit: String(FRAME_OPERATIONS_MAX),
    actual: String(count),
  })

const tooManyBytes = (): TidemarkError =>
  refuse('BATCH_TOO_LARGE', `the rows are over ${MESSAGE_BYTES_MAX} bytes together: ask for fewer`, 'keys', {
    limit: String(MESSAGE_BYTES_MAX),
  })

const STRENGTH: readonly Consistency[] = ['eventual', 'session', 'linearizable']

/** The promise that holds for all partitions together. */
function weakest(provenance: readonly Provenance[]): ConsistencyNumber {
  const found = STRENGTH.find((consistency) => provenance.some((each) => each.consistency === consistency))
  return found === undefined ? ConsistencyNumber.CONSISTENCY_UNSPECIFIED : consistencyMessage(found)
}
