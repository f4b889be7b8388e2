/** The small doors to the outside world; the large ones are log/log.ts, store/store.ts and membership/membership.ts. */
import type { TidemarkError } from './core/errors.ts'
import type { Partition } from './core/types.ts'

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

/** What an operator wants to hear of. Called on the hot path: implementations count and return. */
export interface Telemetry {
  applied(keyspace: string, partition: Partition, records: number): void
  /** A partition stopped serving on this node. */
  stopped(keyspace: string, partition: Partition, error: TidemarkError): void
  /** Something outside fails and is tried again; one sentence when it begins. */
  trouble(sentence: string): void
  recovered(sentence: string): void
}
