/**
 * Counts what records did, once they are in the store. Outcomes count while the replica is live only: one that is built again
 * applies the whole log once more, and nobody was refused anything a second time.
 */
import { type Meters, record } from '../meters.ts'
import type { AppliedRecords } from '../tracing.ts'

export function countApplied(meters: Meters, keyspace: string, run: AppliedRecords): void {
  const { counts, tallies, durations } = meters
  const { commands, effects, live } = run
  if (effects.length === 0) return
  tallies['apply.records'].add(keyspace, effects.length)
  if (!live) return
  record(durations['apply.duration'], run.seconds)
  for (let at = 0; at < effects.length; at++) {
    const done = effects[at]
    const command = commands[at]
    if (done === undefined || command === undefined) continue
    if (command.kind === 'tick') counts['apply.ticks'] += 1
    else if (command.kind === 'mark' && done.outcomes.length === 0) {
      counts['apply.marks.compared'] += 1
      if (done.diverged !== undefined) counts['apply.marks.diverged'] += 1
    }
    counts['apply.mutations'] += done.outcomes.length
    for (const outcome of done.outcomes) {
      if (outcome.duplicate) counts['apply.duplicates'] += 1
      else if (outcome.status === 'rejected') tallies['apply.rejections'].add(outcome.reason)
    }
    for (const { kind } of done.changes) if (kind === 'expired') counts['apply.expiries'] += 1
  }
}
