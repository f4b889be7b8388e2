/**
 * Replicas that have applied the same records are equal: the same hash over the chain of effects, the same rows; and the rows are those that
 * the model makes of the log.
 */
import type { ReplicaDump } from '../history.ts'
import type { Checker, Evidence, Violation } from './evidence.ts'
import { toSeen } from './truth.ts'
import type { PartitionTruth } from './truth.ts'
import { sameRow, showRow } from './writes.ts'

export const replicas: Checker = ({ history, truth }: Evidence) => {
  const found: Violation[] = []
  const wrong = (message: string): number => found.push({ checker: 'replicas', message, entries: [] })
  const first = new Map<string, ReplicaDump>()
  for (const dump of history.replicas) {
    const place = `${dump.partition} below ${dump.next}`
    const other = first.get(place)
    if (other === undefined) first.set(place, dump)
    else if (other.chain !== dump.chain)
      wrong(
        `partition ${place}: the hash of ${dump.node} is ${dump.chain}, that of ${other.node} ${other.chain}`,
      )
    const partition = truth.of(dump.partition)
    if (dump.next > partition.last + 1)
      wrong(
        `partition ${place}: ${dump.node} has applied more than the log has, which ends at ${partition.last}`,
      )
    else for (const line of linesOf(partition, dump)) wrong(`partition ${place}, ${dump.node}: ${line}`)
  }
  return found
}

function* linesOf(partition: PartitionTruth, { rows, next }: ReplicaDump): Generator<string> {
  if (rows === undefined) return
  const time = partition.timeAt(next - 1)
  const isLive = ({ expiresAt }: { readonly expiresAt: number }): boolean =>
    expiresAt === 0 || expiresAt > time
  const expected = new Map(
    partition.keys.flatMap((key) => {
      const row = partition.rowAt(key, next - 1)
      return row === undefined ? [] : [[key, toSeen(key, row)] as const]
    }),
  )
  let before: string | undefined
  for (const row of rows) {
    if (before !== undefined && row.key <= before)
      yield `${JSON.stringify(row.key)} comes after ${JSON.stringify(before)}`
    before = row.key
    // One that is due and waits for its turn stands in the store and is shown to nobody.
    if (!isLive(row) && partition.standingAt(row.key, next - 1)?.version === row.version) continue
    const wanted = expected.get(row.key) ?? null
    if (!sameRow(row, wanted)) yield `it has ${showRow(row)}, the log says ${showRow(wanted)}`
    expected.delete(row.key)
  }
  for (const row of expected.values()) yield `it lacks ${showRow(row)}`
}
