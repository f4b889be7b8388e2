/**
 * Rows expire exactly where the log says: a row is shown as long as partition time is before its expiry and not after, its expiry is what its
 * record made it, and `expired` is told at the record whose log time ended it.
 */
import type { RowSeen } from '../history.ts'
import { entriesOf, nameOf } from './evidence.ts'
import type { Checker, Evidence, Operation, Violation } from './evidence.ts'
import { claimsOf, readOf } from './reading.ts'
import type { PartitionTruth, Truth } from './truth.ts'

export const expiry: Checker = ({ truth, operations }: Evidence) => {
  const found: Violation[] = []
  for (const operation of operations) {
    const wrong = (message: string, entries: readonly number[]): number =>
      found.push({ checker: 'expiry', message: `${nameOf(operation)}: ${message}`, entries })
    for (const line of linesOf(truth, operation)) wrong(line, entriesOf(operation))
    for (const { seq, seen } of operation.seen)
      for (const { kind, partition, row, time } of seen.events) {
        if (time === 0) continue
        const changes =
          truth
            .of(partition)
            .record(row.version)
            ?.changes.filter(({ key }) => key === row.key) ?? []
        const expected = changes.map((change) => change.kind)
        if (changes.length > 0 && !expected.includes(kind) && [...expected, kind].includes('expired'))
          wrong(
            `told ${kind} of ${row.key} at ${partition}:${row.version}, the log says ${expected.join()}`,
            [seq],
          )
        if (kind === 'expired' && changes.length === 0)
          wrong(`told that ${row.key} expired at ${partition}:${row.version}, where it did not`, [seq])
        const put = kind === 'put' ? changes.find((change) => change.kind === 'put') : undefined
        if (put?.row !== undefined && put.row.expiresAt !== row.expiresAt)
          wrong(expiresLine(row, put.row.expiresAt), [seq])
      }
  }
  return found
}

const expiresLine = ({ key, version, expiresAt }: RowSeen, expected: number): string =>
  `${JSON.stringify(key)} v${version} expires at ${expiresAt}, its record says ${expected}`

function* linesOf(truth: Truth, operation: Operation): Generator<string> {
  const reading = readOf(operation, truth)
  if (reading === undefined) return
  const past = reading.call.kind === 'get' ? reading.call.at : undefined
  for (const place of reading.partitions) {
    const at = past ?? place.applied
    if (at === undefined) continue
    for (const [key, row] of claimsOf(truth, reading, place))
      yield* rowLines(truth.of(place.partition), `${place.partition}:${at}`, key, row, at)
  }
}

function* rowLines(
  partition: PartitionTruth,
  place: string,
  key: string,
  row: RowSeen | null,
  at: number,
): Generator<string> {
  const time = partition.timeAt(at)
  if (row === null) {
    const { expiresAt = 0 } = partition.rowAt(key, at) ?? {}
    if (expiresAt !== 0)
      yield `${JSON.stringify(key)} is gone at ${place}, partition time ${time}, before it expires at ${expiresAt}`
    return
  }
  const written = partition.standingAt(key, row.version)
  if (written?.version === row.version && written.expiresAt !== row.expiresAt)
    yield expiresLine(row, written.expiresAt)
  else if (row.expiresAt !== 0 && row.expiresAt <= time)
    yield `${JSON.stringify(key)} v${row.version} is shown at ${place}, partition time ${time}, though it expired at ${row.expiresAt}`
}
