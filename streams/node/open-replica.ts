/**
 * How a replica comes to this node. What the store holds goes on where it stands, or stops at once and says why; what the store
 * does not hold is built: by `bootstrap` where there is one and it finds something, else by replaying the log from its first offset.
 */
import type { MapNode } from '../core/cluster-map.ts'
import { TidemarkError } from '../core/errors.ts'
import { metaKey } from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import { BUILD_RECORDS_SMALL } from '../core/limits.ts'
import { decodeState, newState } from '../core/state.ts'
import type { PartitionState } from '../core/state.ts'
import type { Partition } from '../core/types.ts'
import type { Offsets, TopicDescription } from '../log/log.ts'
import { knownPrefix, prefixOf, quarantined } from '../replica/catalogue.ts'
import { Replica } from '../replica/replica.ts'
import type { NodeContext } from './context.ts'

/** A replica that the store does not hold, and is about to be built. */
export interface BootstrapTarget {
  readonly keyspace: string
  readonly topic: TopicDescription
  readonly partition: Partition
  /** What there would be to replay; from offset 0 on, so it fails where the log was trimmed. */
  readonly offsets: Offsets
  /** Where the map says that a live replica is. */
  readonly sources: readonly MapNode[]
  /** Aborted when the keyspace goes away, or the node closes. */
  readonly signal: AbortSignal
}

/**
 * Puts the replica into the store, in one step (`adoptBuild` in replica/catalogue.ts), or resolves without having done so where there
 * is nothing better than the log. What it throws is told as trouble, and the log is replayed.
 */
export type Bootstrap = (target: BootstrapTarget) => Promise<void>

export interface Opening {
  readonly keyspace: string
  readonly topic: TopicDescription
  readonly partition: Partition
}

/** The replica as the store holds it, begun or stopped; undefined where it holds none. */
export function openStored(context: NodeContext, opening: Opening): Replica | undefined {
  const { store } = context.options
  const { topic, partition } = opening
  const prefix = knownPrefix(store, topic.topic, partition)
  if (prefix === undefined) return undefined
  const stored = store.getMany([metaKey(prefix)])[0]
  if (stored === undefined) return undefined
  const fresh = newState(partition, topic.partitions, topic.identity)
  const state = readState(stored)
  const replica = newReplica(context, opening, prefix, state instanceof TidemarkError ? fresh : state)
  const wrong = quarantined(store, topic.topic, partition)
  const fault =
    state instanceof TidemarkError
      ? state
      : (mismatchOf(state, topic) ??
        (wrong === undefined ? undefined : new TidemarkError('REPLICA_DIVERGED', wrong)))
  if (fault === undefined) replica.start()
  else replica.stop(fault)
  return replica
}

export interface Building extends Pick<BootstrapTarget, 'sources' | 'signal'> {
  /** False when the map has changed its mind meanwhile: nothing is opened then. */
  readonly wanted: () => boolean
  /** The log and nothing else is believed, as far as it reaches back. */
  readonly fromLog: boolean
}

/**
 * The replica, whether the store holds it or not. A long log is replayed when there is a turn for it, so that serving goes on beside it.
 *
 * @throws LOG_UNAVAILABLE, DISK_FULL
 */
export async function openReplica(
  context: NodeContext,
  opening: Opening,
  { sources, signal, wanted, fromLog }: Building,
): Promise<Replica | undefined> {
  const held = openStored(context, opening)
  if (held !== undefined) return held
  const { log, store, telemetry } = context.options
  const { topic, partition } = opening
  const offsets = await log.offsets(topic.topic, partition)
  const bootstrap = fromLog && offsets.start === 0 ? undefined : context.options.bootstrap
  const long = offsets.end - offsets.start > BUILD_RECORDS_SMALL || offsets.start > 0
  const done = long ? await context.builds.take(signal) : (): void => undefined
  try {
    if (signal.aborted || !wanted()) {
      done()
      return undefined
    }
    // Here, and nowhere else, a replica without any state is about to begin.
    await bootstrap?.({ ...opening, offsets, sources, signal }).catch((caught: unknown) => {
      const { message } = TidemarkError.from(caught)
      telemetry.trouble(`partition ${partition} of ${topic.topic} is built from the log: ${message}`)
    })
    if (signal.aborted) {
      done()
      return undefined
    }
    const built = bootstrap === undefined ? undefined : openStored(context, opening)
    const replica = built ?? emptyReplica(context, opening, prefixOf(store, topic.topic, partition))
    // It has caught up, stopped or left: the next one may begin.
    replica.waiters.wait(offsets.end, Infinity).then(done, done)
    return replica
  } catch (caught) {
    done()
    throw caught
  }
}

function emptyReplica(context: NodeContext, opening: Opening, prefix: Prefix): Replica {
  const { partition, topic } = opening
  const replica = newReplica(context, opening, prefix, newState(partition, topic.partitions, topic.identity))
  replica.start()
  return replica
}

function newReplica(context: NodeContext, opening: Opening, prefix: Prefix, state: PartitionState): Replica {
  const { store, log, clock, telemetry, bounds = {} } = context.options
  const { keyspace, topic } = opening
  const replica: Replica = new Replica({
    keyspace,
    topic: topic.topic,
    prefix,
    state,
    store,
    log,
    clock,
    telemetry,
    bounds,
    witness: {
      differs(at) {
        context.equality.suspect(replica, at)
      },
      hashed(content) {
        context.equality.compare(replica, content.at)
      },
      failed(error) {
        // A snapshot of the store that is too old is no fault of the replica.
        if (error.reason === 'STORE_CORRUPT') replica.stop(error)
      },
      pace: context.hashing,
    },
  })
  return replica
}

/** One damaged row costs its partition, not the node. */
function readState(stored: Uint8Array): PartitionState | TidemarkError {
  try {
    return decodeState(stored)
  } catch (caught) {
    return TidemarkError.from(caught)
  }
}

/** The replica was built from another topic than the one that stands there now. */
function mismatchOf(state: PartitionState, found: TopicDescription): TidemarkError | undefined {
  const { topicIdentity, partitions } = state
  if (topicIdentity !== found.identity)
    return new TidemarkError(
      'TOPIC_RECREATED',
      `topic ${found.topic} was deleted and created again: the replica was built from ${topicIdentity}, this is ${found.identity}`,
    )
  if (partitions !== found.partitions)
    return new TidemarkError(
      'PARTITIONS_CHANGED',
      `topic ${found.topic} has ${found.partitions} partitions, the keyspace was created with ${partitions}: keys would move`,
    )
  return undefined
}
