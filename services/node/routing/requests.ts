/** From the words of the face to requests for a peer. Bytes are not copied. The way back is answers.ts. */
import { asBuffer } from '../../../streams/core/bytes.ts'
import type {
  Consistency,
  Freshness,
  KeyRange,
  ScanOptions,
  Token,
  WatchOptions,
  WriteOptions,
} from '../../../streams/face.ts'
import type { ScanRequest, WatchRequest } from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import {
  Consistency as ConsistencyNumber,
  Durability as DurabilityNumber,
  type Token as TokenMessage,
} from '../../../proto/generated/tidemark/v1/types.ts'
import { consistencyMessage, tokenMessage } from '../messages.ts'

const EMPTY = Buffer.alloc(0)

const tokenOf = (token: Token | undefined): TokenMessage | undefined =>
  token === undefined ? undefined : tokenMessage(token.logIdentity, token.positions)

export const consistencyNumber = (consistency: Consistency | undefined): ConsistencyNumber =>
  consistency === undefined ? ConsistencyNumber.CONSISTENCY_UNSPECIFIED : consistencyMessage(consistency)

export interface FreshnessFields {
  readonly consistency: ConsistencyNumber
  readonly token: TokenMessage | undefined
}

export const freshnessFields = ({ consistency, token }: Freshness): FreshnessFields => ({
  consistency: consistencyNumber(consistency),
  token: tokenOf(token),
})

/** Of reads of rows, which may look at the past. */
export const readFields = (freshness: Freshness): FreshnessFields & { asOf: TokenMessage | undefined } => ({
  ...freshnessFields(freshness),
  asOf: tokenOf(freshness.asOf),
})

export const durabilityNumber = (durability: WriteOptions['durability']): DurabilityNumber =>
  durability === 'logged' ? DurabilityNumber.DURABILITY_LOGGED : DurabilityNumber.DURABILITY_APPLIED

/** To the API an empty end is no end: a range without keys is said with two bounds that are the same. */
function rangeFields({ start, end }: KeyRange): { start: Buffer; end: Buffer } {
  if (end === undefined) return { start: asBuffer(start), end: EMPTY }
  return end.length === 0
    ? { start: Buffer.of(0), end: Buffer.of(0) }
    : { start: asBuffer(start), end: asBuffer(end) }
}

export const scanRequest = (keyspace: string, options: ScanOptions): ScanRequest => ({
  keyspace,
  prefix: EMPTY,
  ...rangeFields(options.range),
  limit: options.limit ?? 0,
  reverse: options.reverse ?? false,
  keysOnly: options.keysOnly ?? false,
  partitions: [...(options.partitions ?? [])],
  ...readFields(options),
})

export const watchRequest = (keyspace: string, options: WatchOptions): WatchRequest => ({
  keyspace,
  selector: { $case: 'range', value: rangeFields(options.range) },
  resume: tokenOf(options.resume),
  initialRows: options.initialRows ?? false,
  partitions: [...(options.partitions ?? [])],
  progressIntervalMs: options.progressIntervalMs ?? 0,
  exact: options.exact ?? false,
  previousRows: options.previousRows ?? false,
})
