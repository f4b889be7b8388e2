/**
 * Asks nodes for partitions until each is answered: partitions that share their best node are asked for together; what a node
 * cannot answer goes to the next best, and when none is left, after a rest, round again, inside the deadline.
 *
 *   partitions ─▶ groups by best node not tried yet ─▶ ask ─▶ answered
 *        ▲                                              │
 *        └──── this node is tried now ◀── cannot answer ┘
 */
import { TidemarkError, type Reason } from '../../../streams/core/errors.ts'
import { ROUTE_ATTEMPT_MS, ROUTE_REST_MS, ROUTE_ROUNDS_MAX } from '../../../streams/core/limits.ts'
import type { Partition } from '../../../streams/core/types.ts'
import type { Rows } from './remote-keyspace.ts'

/** A node that can be asked. */
export interface Place {
  readonly nodeId: string
  /** This node itself. */
  readonly own: boolean
  readonly rows: Rows
}

export interface Asking<T> {
  readonly partitions: readonly Partition[]
  /** Milliseconds since 1970. */
  readonly deadline: number
  /** Who can answer for the partition, best first; never empty. */
  readonly places: (partition: Partition) => readonly Place[]
  /** Resolves after so many milliseconds, or as soon as places may be others. */
  readonly rest: (ms: number) => Promise<void>
  /** Whether another node may answer what this one failed with. */
  readonly elsewhere: (error: TidemarkError, place: Place) => boolean
  readonly ask: (place: Place, partitions: readonly Partition[], deadline: number) => Promise<T>
  /** Frees an answer that nobody will get, because another part failed for good. */
  readonly release?: (answer: T) => void
  /** Times round all places; ROUTE_ROUNDS_MAX by default. */
  readonly rounds?: number
  /** Nodes that have failed already. */
  readonly tried?: readonly string[]
}

export interface Answered<T> {
  readonly place: Place
  readonly partitions: readonly Partition[]
  readonly answer: T
}

/** @returns one for each node that answered @throws what the last node failed with */
export function askEach<T>(asking: Asking<T>): Promise<Answered<T>[]> {
  return askRound(asking, asking.partitions, new Set(asking.tried), 1, undefined)
}

async function askRound<T>(
  asking: Asking<T>,
  partitions: readonly Partition[],
  tried: ReadonlySet<string>,
  round: number,
  failure: TidemarkError | undefined,
): Promise<Answered<T>[]> {
  /** `more`: another node could answer for some of them. */
  const groups = new Map<string, { place: Place; partitions: Partition[]; more: boolean }>()
  const left: Partition[] = []
  for (const partition of partitions) {
    const untried = asking.places(partition).filter(({ nodeId }) => !tried.has(nodeId))
    const [place] = untried
    if (place === undefined) {
      left.push(partition)
      continue
    }
    const group = groups.get(place.nodeId)
    if (group === undefined)
      groups.set(place.nodeId, { place, partitions: [partition], more: untried.length > 1 })
    else {
      group.partitions.push(partition)
      group.more ||= untried.length > 1
    }
  }
  const parts = [...groups.values()].map((group) =>
    askGroup(asking, group.place, group.partitions, group.more, tried, round),
  )
  if (left.length > 0) parts.push(nextRound(asking, left, round, failure))
  return gathered(asking, parts)
}

async function askGroup<T>(
  asking: Asking<T>,
  place: Place,
  partitions: readonly Partition[],
  more: boolean,
  tried: ReadonlySet<string>,
  round: number,
): Promise<Answered<T>[]> {
  const soon = Date.now() + ROUTE_ATTEMPT_MS
  // A node that accepts and never answers must not use up the time of those that would.
  const cut = more && !place.own && soon < asking.deadline
  try {
    return [{ place, partitions, answer: await asking.ask(place, partitions, cut ? soon : asking.deadline) }]
  } catch (caught) {
    const error = TidemarkError.from(caught)
    const late = error.reason === 'DEADLINE_EXCEEDED' && cut
    if (!late && !asking.elsewhere(error, place)) throw error
    return askRound(asking, partitions, new Set([...tried, place.nodeId]), round, error)
  }
}

async function nextRound<T>(
  asking: Asking<T>,
  partitions: readonly Partition[],
  round: number,
  failure: TidemarkError | undefined,
): Promise<Answered<T>[]> {
  const left = asking.deadline - Date.now()
  if (round >= (asking.rounds ?? ROUTE_ROUNDS_MAX) || left <= ROUTE_REST_MS)
    throw failure ?? nobody(partitions)
  await asking.rest(ROUTE_REST_MS)
  return askRound(asking, partitions, new Set(), round + 1, failure)
}

async function gathered<T>(asking: Asking<T>, parts: Promise<Answered<T>[]>[]): Promise<Answered<T>[]> {
  const settled = await Promise.allSettled(parts)
  const failed = settled.find((each) => each.status === 'rejected')
  const answered = settled.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
  if (failed === undefined) return answered
  for (const { answer } of answered) asking.release?.(answer)
  throw failed.reason
}

const nobody = (partitions: readonly Partition[]): TidemarkError =>
  new TidemarkError(
    'PARTITION_ELSEWHERE',
    `no node is known that serves partition ${partitions[0] ?? ''} now: retry`,
    { metadata: { partition: String(partitions[0] ?? '') } },
  )

/** The node cannot answer this now, or not any more; it has changed nothing. */
const UNTOUCHED: ReadonlySet<Reason> = new Set<Reason>([
  'NODE_DRAINING',
  'PARTITION_ELSEWHERE',
  'PARTITION_RESTORING',
])
/** The node cannot answer; whether a write was appended is unknown. */
const UNKNOWN: ReadonlySet<Reason> = new Set<Reason>([
  'NODE_UNREACHABLE',
  'PARTITION_STOPPED',
  'LOG_UNAVAILABLE',
  'WRITE_UNKNOWN',
])

/** @param repeatable - doing it twice is harmless: a read, or a write with a request id */
export const answersElsewhere = (
  { reason }: TidemarkError,
  place: Pick<Place, 'own'>,
  repeatable: boolean,
): boolean =>
  UNTOUCHED.has(reason) ||
  (repeatable && UNKNOWN.has(reason)) ||
  // A node that has just begun need not have heard of the keyspace yet; this one has.
  (reason === 'KEYSPACE_NOT_FOUND' && !place.own)
