/** The small doors to the outside world; the large ones are log/log.ts, store/store.ts and membership/membership.ts. */
import type { MapNode } from './core/cluster-map.ts'
import type { TidemarkError } from './core/errors.ts'
import type { Offset, Partition } from './core/types.ts'
import type { Meters } from './meters.ts'
import type { Tracing } from './tracing.ts'

export interface Clock {
  /** Milliseconds since 1970: a date, which may jump. Deadlines come as dates; nothing else here is measured by it (deadline.ts). */
  now(): number
  /** Whole milliseconds since some moment, never set by anybody: all that is measured or waited for counts by this. */
  elapsed(): number
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
  /** Absent where nobody asked for traces. */
  readonly tracing?: Tracing | undefined
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

/** What another node's replica of a partition can be compared by. */
export interface PeerProof {
  /** Its chain where it remembers it, as hexadecimal text. */
  readonly chains: readonly OffsetHash[]
  /** Hashes of its content; `hash` is undefined while one is being made. */
  readonly contents: readonly { readonly at: Offset; readonly hash: string | undefined }[]
}

export interface OffsetHash {
  readonly at: Offset
  readonly hash: string
}

export interface PeerQuestion {
  readonly topic: string
  readonly partition: Partition
  /** What the own chain is where somebody has another one: the peer asks around by itself where it differs, too. */
  readonly suspicion?: OffsetHash | undefined
}

/** Asks a peer. @throws where it does not answer, or has no replica that serves */
export type AskPeer = (peer: MapNode, question: PeerQuestion) => Promise<PeerProof>
