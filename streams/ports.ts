/** The small doors to the outside world; the large ones are log/log.ts, store/store.ts and membership/membership.ts. */
import type { MapNode } from './core/cluster-map.ts'
import type { TidemarkError } from './core/errors.ts'
import type { Partition } from './core/types.ts'
import type { Meters } from './meters.ts'

export interface Clock {
  /** Milliseconds since 1970. For deadlines and freshness only; what is true of the data comes from the log. */
  now(): number
  /** Resolves after about so many milliseconds. */
  sleep(ms: number): Promise<void>
  /** Calls back again and again until the returned function is called. Does not keep the process alive. */
  every(ms: number, callback: () => void): () => void
}

/** Names that nobody else has. */
export interface Random {
  /** Text of `bytes` random bytes in base64url. */
  id(bytes: number): string
}

/** What an operator wants to hear of. */
export interface Telemetry {
  /** Counted into by whoever does something; one for each node. */
  readonly meters: Meters
  /** A partition stopped serving on this node. */
  stopped(keyspace: string, partition: Partition, error: TidemarkError): void
  /** Something outside fails and is tried again; one sentence when it begins. */
  trouble(sentence: string): void
  recovered(sentence: string): void
}

/**
 * Where copies of a replica can be had, the best first: other nodes, snapshots. Each is asked for only when those before it were
 * no good.
 * @param peers - nodes that serve a live replica of it
 */
export type CopyOffers = (
  topic: string,
  partition: Partition,
  peers: readonly MapNode[],
) => AsyncIterable<CopyOffer>

export interface CopyOffer {
  /** Who offers it, for people. */
  readonly from: string
  /** The chunks of snapshot/chunk.ts, in order. What reads them checks them. */
  open(signal: AbortSignal): AsyncIterable<Uint8Array>
}
