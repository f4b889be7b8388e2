/** Histories of rows and outcomes of records that were asked for are those of the log. */
import type { HistoryCall, OutcomeSeen } from '../history.ts'
import { answerOf, entriesOf, nameOf } from './evidence.ts'
import type { Checker, Evidence, Operation, Violation } from './evidence.ts'
import type { Answer } from '../history.ts'
import type { Truth } from './truth.ts'
import { differenceOf } from './writes.ts'

export const lookingBack: Checker = ({ truth, operations }: Evidence) => {
  const found: Violation[] = []
  for (const operation of operations)
    for (const line of linesOf(truth, operation))
      found.push({
        checker: 'looking-back',
        message: `${nameOf(operation)}: ${line}`,
        entries: entriesOf(operation),
      })
  return found
}

function* linesOf(truth: Truth, operation: Operation): Generator<string> {
  const { call } = operation.call
  const answer = answerOf(operation)
  if (call.kind === 'history' && answer?.kind === 'versions') yield* versionLines(truth, call, answer)
  if (call.kind === 'outcome' && answer?.kind === 'outcomes') {
    const { partition, offset } = call
    const told = truth.of(partition).record(offset)
    if (told === undefined) yield `outcomes of ${partition}:${offset}, where the log has no record`
    else {
      if (told.time !== answer.time) yield `log time ${answer.time}, the log says ${told.time}`
      yield* outcomeLines(answer.outcomes, told.outcomes.length, (seen, at) => {
        const expected = told.outcomes[at]
        return expected === undefined ? undefined : differenceOf(seen, expected)
      })
    }
  }
}

function* outcomeLines(
  seen: readonly OutcomeSeen[],
  expected: number,
  difference: (seen: OutcomeSeen, at: number) => string | undefined,
): Generator<string> {
  if (seen.length !== expected) yield `${seen.length} outcomes, the log says ${expected}`
  for (const [at, one] of seen.entries()) {
    const line = difference(one, at)
    if (line !== undefined) yield `outcome ${at}: ${line}`
  }
}

function* versionLines(
  truth: Truth,
  { key, limit }: HistoryCall,
  { versions, shown, earliest }: Answer & { readonly kind: 'versions' },
): Generator<string> {
  const partition = truth.of(truth.partitionOf(key))
  const all = partition.versions(key)
  // Where the client is not told where it stands, its newest version is that place.
  const applied = shown[0]?.applied ?? versions[0]?.row.version ?? -1
  const expected = all.slice(0, partition.versionsUpTo(key, applied)).reverse()
  const complete = earliest === undefined || earliest === 0
  const least = complete ? Math.min(limit === 0 ? Infinity : limit, expected.length) : 0
  if (versions.length < least) yield `${versions.length} versions up to ${applied}, the log has ${least}`
  if (limit > 0 && versions.length > limit) yield `${versions.length} versions, over the limit of ${limit}`
  for (const [at, { kind, row, time }] of versions.entries()) {
    const wanted = expected[at]
    if (wanted === undefined) {
      yield `a version ${row.version} that the log does not have`
      return
    }
    const value = wanted.row?.value ?? ''
    if (kind !== wanted.kind || row.version !== wanted.offset || row.value !== value || row.key !== key)
      yield `${kind} v${row.version} ${JSON.stringify(row.value)}, the log says ${wanted.kind} v${wanted.offset} ${JSON.stringify(value)}`
    else if (time !== 0 && time !== wanted.time)
      yield `v${row.version} at log time ${time}, the log says ${wanted.time}`
    else if (time === 0 && complete) yield `v${row.version} without its log time, though nothing is missing`
  }
}
