/** Reads as of a token: exactly what stood at its positions, on any replica, for as long as the history reaches back to them. */
import { TidemarkError } from './core/errors.ts'
import type { Offset, Partition } from './core/types.ts'
import type { Freshness, Token } from './face.ts'

/** Where the token stands in a partition. @throws TOKEN_INVALID: without a position nothing says what should be shown */
export function offsetIn(token: Token, keyspace: string, partition: Partition): Offset {
  const found = token.positions.find((each) => each.keyspace === keyspace && each.partition === partition)
  if (found !== undefined) return found.offset
  const named = new Set(token.positions.map((each) => each.keyspace))
  const what = named.has(keyspace)
    ? `partition ${partition} of keyspace ${keyspace}`
    : `keyspace ${keyspace}, only of ${[...named].slice(0, 3).join(', ') || 'none'}`
  throw new TidemarkError(
    'TOKEN_INVALID',
    `the token has no position of ${what}: read as of a token of this keyspace, for instance one of a cut`,
    { metadata: { keyspace, partition: String(partition) } },
  )
}

/** What a read waits for: as of a token, its positions and nothing newer. */
export const demandedBy = ({ asOf, ...freshness }: Freshness): Freshness =>
  asOf === undefined ? freshness : { consistency: 'session', token: asOf, deadline: freshness.deadline }
