/** One keyspace as callers use it: point operations go through the pipeline, the rest has calls of its own. */
import {
  PipelineOperationKind as Kind,
  type GetOutcomeResponse,
  type GetResponse,
  type HistoryResponse,
  type PipelineResult,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import type { Outcome as OutcomeMessage } from '../../proto/generated/tidemark/v1/types.ts'
import { HISTORY_ROWS_MAX } from '../../streams/core/limits.ts'
import { ask, type Send } from './ask.ts'
import {
  checkedDeadline,
  checkedDelta,
  checkedKey,
  checkedTtl,
  checkedValue,
  checkedVersion,
  checkedWhole,
} from './checks.ts'
import { CONSISTENCY, DURABILITY, asOfField, freshness, readsNear, type Context } from './context.ts'
import { getMany } from './get-many.ts'
import { hedged, type Attempt } from './hedge.ts'
import type { NodeLink } from './node-link.ts'
import { Operation } from './operation.ts'
import { Row, toRow } from './row.ts'
import { scan } from './scan.ts'
import { anyKeyOf, toTransactRequest } from './transaction.ts'
import type { GetOptions, HedgedReadOptions, Keyspace, Outcome, WriteOptions, Written } from './types.ts'
import { toChange, watch } from './watch.ts'

export function keyspaceOn(context: Context, keyspace: string): Keyspace {
  const { router } = context

  /** Puts one operation on its way; what `prepare` or `finish` throws is the caller's error. */
  const submit = <T>(
    kind: Kind,
    key: Buffer,
    deadlineMs: number | undefined,
    prepare: (operation: Operation) => void,
    finish: (result: PipelineResult) => T,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const deadline = deadlineMs === undefined ? context.deadlineMs : checkedDeadline(deadlineMs)
      const complete = (result: PipelineResult): void => resolve(finish(result))
      const operation = new Operation(kind, key, keyspace, deadline, complete, reject)
      if (context.traceparent !== undefined) operation.traceparent = context.traceparent() ?? ''
      prepare(operation)
      router.pipelineFor(operation).submit(operation)
    })

  /** A call about one row, on a second replica too where that is wished. */
  const askHedged = <Response>(
    key: Buffer,
    options: HedgedReadOptions,
    send: Send<Response>,
  ): Promise<Response> => {
    const place = { keyspace, key }
    const near = readsNear(context, options.consistency)
    const { deadlineMs, hedgeAfterMs } = options
    if (hedgeAfterMs === undefined) return ask(context, { deadlineMs, place, near }, send)
    let at: NodeLink | undefined
    const onAttempt = (link: NodeLink): void => void (at = link)
    return hedged(
      checkedWhole(hedgeAfterMs, 'hedgeAfterMs'),
      (cancelled) => ask(context, { deadlineMs, place, near, cancelled, onAttempt }, send),
      () => {
        const other = at === undefined ? undefined : router.linkBeside(place, at)
        if (other === undefined) return undefined
        const choose = (): NodeLink => other
        return (cancelled) => ask(context, { deadlineMs, place, near, cancelled, choose }, send)
      },
    )
  }

  const getPast = async (key: Buffer, options: GetOptions) => {
    const request = {
      keyspace,
      key,
      atVersion: options.atVersion === undefined ? undefined : checkedVersion(options.atVersion),
      ...asOfField(options.asOf),
      ...freshness(context, keyspace, options.consistency),
    }
    const { row } = await askHedged<GetResponse>(key, options, (link, metadata, call, done) =>
      link.rows.get(request, metadata, call, done),
    )
    return row === undefined ? undefined : toRow(row)
  }

  const getOne = (
    key: Buffer,
    options: GetOptions,
    onMade: (operation: Operation) => void = () => undefined,
  ): Promise<Row | undefined> => {
    const prepare = (operation: Operation): void => {
      operation.consistency = CONSISTENCY[options.consistency ?? context.consistency]
      onMade(operation)
    }
    return submit(Kind.PIPELINE_OPERATION_KIND_GET, key, options.deadlineMs, prepare, (result) =>
      result.version === undefined
        ? undefined
        : new Row(
            key,
            result.value,
            result.version,
            result.partition,
            result.expiresAtMs,
            result.contentType,
          ),
    )
  }

  const getHedged = (key: Buffer, options: GetOptions, hedgeAfterMs: number): Promise<Row | undefined> => {
    let first: Operation | undefined
    const attempt =
      (beside: Operation | undefined): Attempt<Row | undefined> =>
      (cancelled) =>
        getOne(key, options, (operation) => {
          first ??= operation
          operation.beside = beside
          cancelled.addEventListener('abort', () => operation.carrier?.abandon(operation))
        })
    return hedged(checkedWhole(hedgeAfterMs, 'hedgeAfterMs'), attempt(undefined), () => {
      const at = first?.carrier?.node
      const other = at === undefined ? undefined : router.linkBeside({ keyspace, key }, at)
      return other === undefined ? undefined : attempt(first)
    })
  }

  return {
    name: keyspace,

    async get(key, options = {}) {
      const bytes = checkedKey(key)
      if (options.atVersion !== undefined || options.asOf !== undefined) return getPast(bytes, options)
      if (options.hedgeAfterMs !== undefined) return getHedged(bytes, options, options.hedgeAfterMs)
      return getOne(bytes, options)
    },

    async getMany(keys, options = {}) {
      return getMany(context, keyspace, keys.map(checkedKey), options)
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

    scan: (options = {}) => scan(context, keyspace, options),
    watch: (options = {}) => watch(context, keyspace, options),

    async history(key, options = {}) {
      const limit = checkedWhole(options.limit ?? HISTORY_ROWS_MAX, 'limit')
      const bytes = checkedKey(key)
      const request = {
        keyspace,
        key: bytes,
        limit,
        ...freshness(context, keyspace, options.consistency),
      }
      const response = await askHedged<HistoryResponse>(bytes, options, (link, metadata, call, done) =>
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
      const asked = { deadlineMs: options.deadlineMs, place: { keyspace, partition }, near: true }
      const response = await ask<GetOutcomeResponse>(context, asked, (link, metadata, call, done) =>
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
