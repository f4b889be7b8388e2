/** What the nodes of face.fake.ts hold in common, as nodes of a cluster share the log. */
import type { Outcome, Row } from '../../streams/core/mutation.ts'
import { type Partition, offset, partition } from '../../streams/core/types.ts'
import type { Barrier, KeyspaceInfo, WatchEvent } from '../../streams/face.ts'

export interface PartitionState {
  readonly partition: Partition
  next: number
  readonly rows: Map<string, Row>
  readonly events: WatchEvent[]
  readonly outcomes: Map<number, Outcome>
  readonly seen: Map<string, Outcome>
}

/** What a keyspace holds, on whichever node. */
export class FakeTruth {
  readonly partitions = new Map<string, readonly PartitionState[]>()
  /** Watchers to wake. */
  readonly wake = new Set<() => void>()

  partitionsOf({ name, partitions }: KeyspaceInfo): readonly PartitionState[] {
    const known = this.partitions.get(name)
    if (known !== undefined) return known
    const made = Array.from({ length: partitions }, (_, index) => ({
      partition: partition(index),
      // A control record stands first, as in every log.
      next: 1,
      rows: new Map(),
      events: [],
      outcomes: new Map(),
      seen: new Map(),
    }))
    this.partitions.set(name, made)
    return made
  }
}

/** Appends one; the first of its name decides. */
export function barrierIn(state: PartitionState, requestId: string): Barrier {
  const at = offset(state.next++)
  const known = state.seen.get(requestId)
  if (known === undefined) state.seen.set(requestId, { status: 'applied', offset: at, duplicate: false })
  return {
    partition: state.partition,
    offset: known?.offset ?? at,
    at,
    time: 1,
    repeated: known !== undefined,
  }
}

export function barrierKnown(state: PartitionState, requestId: string): Barrier | undefined {
  const known = state.seen.get(requestId)
  if (known === undefined) return undefined
  return { partition: state.partition, offset: known.offset, at: known.offset, time: 1, repeated: false }
}
