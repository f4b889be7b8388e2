/**
 * Many rows at once: each key is asked for on a node that serves it, the nodes work at the same time, and the answers are put
 * together in the order of the keys. Keys whose node fails are split anew, by what is known then.
 */
import type { BatchGetResponse } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'
import { FRAME_OPERATIONS_MAX } from '../../streams/core/limits.ts'
import { askOnce, beforeNext, deadlineOf } from './ask.ts'
import { asOfField, freshness, readsNear, type Context } from './context.ts'
import { closedError, failureOf, isServiceError } from './failure.ts'
import { hedged } from './hedge.ts'
import type { NodeLink } from './node-link.ts'
import type { Place } from './routes.ts'
import { toRow, type Row } from './row.ts'
import type { AsOfOptions, HedgedReadOptions } from './types.ts'

export async function getMany(
  context: Context,
  keyspace: string,
  keys: readonly Buffer[],
  options: HedgedReadOptions & AsOfOptions,
): Promise<(Row | undefined)[]> {
  const { router } = context
  const deadline = deadlineOf(context, options.deadlineMs)
  const near = readsNear(context, options.consistency)
  const past = asOfField(options.asOf)
  const rows = new Array<Row | undefined>(keys.length).fill(undefined)
  const placeOf = (index: number): Place => ({ keyspace, key: keys[index] ?? NO_KEY })

  /** By the node that each is asked for on. */
  const split = (indices: readonly number[]): Map<NodeLink, number[]> => {
    const groups = new Map<NodeLink, number[]>()
    for (const index of indices) {
      const link = router.linkOf(placeOf(index), near)
      const group = groups.get(link)
      if (group === undefined) groups.set(link, [index])
      else group.push(index)
    }
    return groups
  }

  const fetchAll = async (indices: readonly number[], failures: number): Promise<void> => {
    const groups = [...split(indices)]
    await Promise.all(groups.map(([link, group]) => fetchGroup(link, group, failures, FRAME_OPERATIONS_MAX)))
  }

  /** Splits what is too much for one answer. */
  const fetchGroup = async (
    link: NodeLink,
    group: readonly number[],
    failures: number,
    atOnce: number,
  ): Promise<void> => {
    for (let from = 0; from < group.length; from += atOnce) {
      const chunk = group.slice(from, from + atOnce)
      if (context.closed.aborted) throw closedError()
      try {
        take(chunk, await fetchHedged(link, chunk))
      } catch (error) {
        if (!isServiceError(error)) throw error
        const failure = failureOf(error, link.address)
        if (failure.reason === 'BATCH_TOO_LARGE' && chunk.length > 1) {
          await fetchGroup(link, chunk, failures, Math.ceil(chunk.length / 4))
          continue
        }
        const elsewhere = placesOf(chunk, failure).map((place) => router.failed(link, place, failure, near))
        await beforeNext(context, failure, failures, deadline, elsewhere.includes(true))
        await fetchAll(chunk, failures + 1)
      }
    }
  }

  /** The partitions that a failure speaks of. */
  const placesOf = (chunk: readonly number[], failure: TidemarkError): Place[] => {
    const named = failure.metadata['partition']
    if (named !== undefined) return [{ keyspace, partition: Number(named) }]
    const partitions = new Set(chunk.map((index) => router.partitionOf(keyspace, keys[index] ?? NO_KEY)))
    return [...partitions].map((partition) =>
      partition === undefined ? placeOf(chunk[0] ?? 0) : { keyspace, partition },
    )
  }

  const fetchHedged = (link: NodeLink, chunk: readonly number[]): Promise<BatchGetResponse> => {
    const request = {
      keyspace,
      keys: chunk.map((index) => keys[index] ?? NO_KEY),
      ...freshness(context, keyspace, options.consistency),
      ...past,
    }
    const from =
      (node: NodeLink) =>
      (cancelled: AbortSignal | undefined): Promise<BatchGetResponse> =>
        askOnce<BatchGetResponse>(
          context,
          node,
          deadline,
          (to, metadata, call, done) => to.rows.batchGet(request, metadata, call, done),
          cancelled,
        )
    if (options.hedgeAfterMs === undefined) return from(link)(undefined)
    return hedged(options.hedgeAfterMs, from(link), () => {
      // Nodes route: what the second one does not hold itself it has from others, though not from the slow one in the best case.
      const other = router.linkBeside(placeOf(chunk[0] ?? 0), link)
      return other === undefined ? undefined : from(other)
    })
  }

  const take = (chunk: readonly number[], { rows: found, token }: BatchGetResponse): void => {
    context.token.advanceAll(token)
    // The rows found come in the order of the keys; missing ones are left out.
    let next = 0
    for (const index of chunk) {
      const row = found[next]
      if (row === undefined || keys[index]?.equals(row.key) !== true) continue
      next += 1
      rows[index] = toRow(row)
    }
  }

  await fetchAll(
    keys.map((_, index) => index),
    1,
  )
  return rows
}

const NO_KEY = Buffer.alloc(0)
