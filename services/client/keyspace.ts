/** One keyspace as callers use it: point operations go through the pipeline, the rest has calls of its own. */
import {
  PipelineOperationKind as Kind,
  type BatchGetResponse,
  type GetOutcomeResponse,
  type GetResponse,
  type HistoryResponse,
  type PipelineResult,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import type { Outcome as OutcomeMessage } from '../../proto/generated/tidemark/v1/types.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { FRAME_OPERATIONS_MAX, HISTORY_ROWS_MAX } from '../../streams/core/limits.ts'
import {
  checkedDeadline,
  checkedDelta,
  checkedKey,
  checkedTtl,
  checkedValue,
  checkedVersion,
  checkedWhole,
} from './checks.ts'
import type { Keyspace, Outcome, ReadOptions, WriteOptions, Written } from './index.ts'
import { ask, CONSISTENCY, DURABILITY, freshness, type Link } from './link.ts'
import { Operation } from './operation.ts'
import type { Pipeline } from './pipeline.ts'
import { Row, toRow } from './row.ts'
import { scan } from './scan.ts'
import { anyKeyOf, toTransactRequest } from './transaction.ts'
import { toChange, watch } from './watch.ts'

export function keyspaceOn(link: Link, keyspace: string): Keyspace {
  /** Puts one operation on its way; what `prepare` or `finish` throws is the caller's error. */
  const submit = <T>(
    kind: Kind,
    key: Buffer,
    deadlineMs: number | undefined,
    prepare: (operation: Operation) => void,
    finish: (result: PipelineResult) => T,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const deadline = deadlineMs === undefined ? link.deadlineMs : checkedDeadline(deadlineMs)
      const complete = (result: PipelineResult): void => resolve(finish(result))
      const operation = new Operation(kind, key, keyspace, deadline, complete, reject)
      prepare(operation)
      pipelineFor(link, key).submit(operation)
    })

  const getAtVersion = async (key: Buffer, atVersion: number, options: ReadOptions) => {
    const request = { keyspace, key, atVersion, ...freshness(link, keyspace, options.consistency) }
    const { row } = await ask<GetResponse>(link, options.deadlineMs, (metadata, call, done) =>
      link.rows.get(request, metadata, call, done),
    )
    return row === undefined ? undefined : toRow(row)
  }

  /** Splits what is too much for one answer. */
  const getAll = async (
    keys: readonly Buffer[],
    options: ReadOptions,
    atOnce = FRAME_OPERATIONS_MAX,
  ): Promise<(Row | undefined)[]> => {
    const rows: (Row | undefined)[] = []
    for (let from = 0; from < keys.length; from += atOnce) {
      const chunk = keys.slice(from, from + atOnce)
      try {
        rows.push(...(await getChunk(chunk, options)))
      } catch (error) {
        const failure = TidemarkError.from(error)
        if (failure.reason !== 'BATCH_TOO_LARGE' || chunk.length === 1) throw failure
        rows.push(...(await getAll(chunk, options, Math.ceil(chunk.length / 4))))
      }
    }
    return rows
  }

  const getChunk = async (keys: readonly Buffer[], options: ReadOptions) => {
    const request = { keyspace, keys: [...keys], ...freshness(link, keyspace, options.consistency) }
    const { rows, token } = await ask<BatchGetResponse>(link, options.deadlineMs, (metadata, call, done) =>
      link.rows.batchGet(request, metadata, call, done),
    )
    link.token.advanceAll(token)
    // The rows found come in the order of the keys; missing ones are left out.
    let next = 0
    return keys.map((key) => {
      const row = rows[next]
      if (row === undefined || !key.equals(row.key)) return undefined
      next += 1
      return toRow(row)
    })
  }

  return {
    name: keyspace,

    async get(key, options = {}) {
      const bytes = checkedKey(key)
      if (options.atVersion !== undefined) {
        return getAtVersion(bytes, checkedVersion(options.atVersion), options)
      }
      const prepare = (operation: Operation): void => {
        operation.consistency = CONSISTENCY[options.consistency ?? link.consistency]
      }
      return submit(Kind.PIPELINE_OPERATION_KIND_GET, bytes, options.deadlineMs, prepare, (result) =>
        result.version === undefined
          ? undefined
          : new Row(
              bytes,
              result.value,
              result.version,
              result.partition,
              result.expiresAtMs,
              result.contentType,
            ),
      )
    },

    async getMany(keys, options = {}) {
      return getAll(keys.map(checkedKey), options)
    },

    async put(key, value, options = {}) {
      const prepare = (operation: Operation): void => {
        operation.value = checkedValue(value)
        operation.contentType = options.contentType ?? ''
        operation.ttlMs = checkedTtl(options.ttlMs)
        setWriteOptions(operation, options)
      }
      return submit(Kind.PIPELINE_OPERATION_KIND_PUT, checkedKey(key), options.deadlineMs, prepare, toWritten)
    },

    async delete(key, options = {}) {
      const prepare = (operation: Operation): void => setWriteOptions(operation, options)
      return submit(
        Kind.PIPELINE_OPERATION_KIND_DELETE,
        checkedKey(key),
        options.deadlineMs,
        prepare,
        toWritten,
      )
    },

    async increment(key, delta = 1, options = {}) {
      const prepare = (operation: Operation): void => {
        operation.delta = checkedDelta(delta)
        operation.ttlMs = checkedTtl(options.ttlMs)
        setWriteOptions(operation, options)
      }
      const finish = (result: PipelineResult) => ({
        ...toWritten(result),
        number: BigInt(result.number ?? 0),
      })
      return submit(
        Kind.PIPELINE_OPERATION_KIND_INCREMENT,
        checkedKey(key),
        options.deadlineMs,
        prepare,
        finish,
      )
    },

    async transact(transaction, options = {}) {
      const request = toTransactRequest(transaction)
      const prepare = (operation: Operation): void => {
        operation.transaction = request
        setWriteOptions(operation, options)
      }
      const finish = (result: PipelineResult) => ({
        ...toWritten(result),
        succeeded: result.succeeded ?? false,
        rows: result.results.map(({ row }) => (row === undefined ? undefined : toRow(row))),
      })
      const key = anyKeyOf(request)
      return submit(Kind.PIPELINE_OPERATION_KIND_TRANSACT, key, options.deadlineMs, prepare, finish)
    },

    scan: (options = {}) => scan(link, keyspace, options),
    watch: (options = {}) => watch(link, keyspace, options),

    async history(key, options = {}) {
      const limit = checkedWhole(options.limit ?? HISTORY_ROWS_MAX, 'limit')
      const request = {
        keyspace,
        key: checkedKey(key),
        limit,
        ...freshness(link, keyspace, options.consistency),
      }
      const response = await ask<HistoryResponse>(link, options.deadlineMs, (metadata, call, done) =>
        link.rows.history(request, metadata, call, done),
      )
      return {
        versions: response.versions.map((version) => toChange(version, () => undefined)),
        earliestVersion: response.earliestVersion,
      }
    },

    async outcome(partition, offset, options = {}) {
      const position = {
        keyspace,
        partition: checkedWhole(partition, 'partition'),
        offset: checkedWhole(offset, 'offset'),
      }
      const response = await ask<GetOutcomeResponse>(link, options.deadlineMs, (metadata, call, done) =>
        link.rows.getOutcome({ position }, metadata, call, done),
      )
      return { outcomes: response.outcomes.map(toOutcome), timeMs: response.timeMs }
    },
  }
}

function setWriteOptions(
  operation: Operation,
  options: WriteOptions & { readonly ifVersion?: number },
): void {
  if (options.ifVersion !== undefined) operation.ifVersion = checkedVersion(options.ifVersion)
  if (options.durability !== undefined) operation.durability = DURABILITY[options.durability]
}

const toWritten = (result: PipelineResult): Written => ({
  partition: result.partition,
  offset: result.applied,
  version: result.version,
  duplicate: result.duplicate,
})

const toOutcome = (outcome: OutcomeMessage): Outcome => ({
  applied: outcome.applied,
  reason: outcome.reason,
  version: outcome.version,
  number: outcome.number === undefined ? undefined : BigInt(outcome.number),
  succeeded: outcome.succeeded,
  duplicate: outcome.duplicate,
})

/** Writes of one key keep their order only on one connection: FNV-1a of the key chooses it. */
function pipelineFor(link: Link, key: Buffer): Pipeline {
  const { pipelines } = link
  if (pipelines.length === 1) return pipelines[0]
  let hash = 0x811c9dc5
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193)
  return pipelines[(hash >>> 0) % pipelines.length] ?? pipelines[0]
}
