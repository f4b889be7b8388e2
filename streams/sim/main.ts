/** `npm run sim`: runs seeds, and tells of each that fails how to run it again. */
import { readArguments, USAGE, type Arguments } from './arguments.ts'
import { describeFault } from './faults.ts'
import { OPERATION_KINDS } from './coverage.ts'
import { runSeeds } from './runner.ts'
import { command, shrink } from './shrink.ts'
import { simulate, type RunResult } from './simulation.ts'
import { Tally } from './tally.ts'

/** Failing seeds of which the smallest run is looked for; each takes as long as a hundred runs. */
const SHRUNK_MAX = 3
/** Lines of a trace that are shown of a failing run. */
const LINES_SHOWN = 60
/** Milliseconds between two words on how far it is. */
const PROGRESS_MS = 1000

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

async function one({ from: seed, faults, calls, trace }: Arguments): Promise<boolean> {
  const run = await simulate({ seed, faults, calls, keepTrace: trace })
  if (trace) say(run.trace.join('\n'))
  say(
    `seed ${seed}: ${run.operations} operations, ${run.events} events in ${Math.round(run.virtualMs)} virtual ms, ` +
      `${run.faults.length} faults, trace ${run.traceHash}`,
  )
  for (const problem of run.problems) say(`  ${problem}`)
  if (run.problems.length > 0 && !trace) await showSmallest(run)
  return run.problems.length === 0
}

async function showSmallest(run: RunResult): Promise<void> {
  const { options, result } = await shrink(run, simulate)
  say(`\nthe smallest run that was found: ${command(options)} [--trace]`)
  for (const [at, fault] of result.faults.entries()) say(`  fault ${at}: ${describeFault(fault)}`)
  const { trace } = result
  if (trace.length > LINES_SHOWN) say(`  … ${trace.length - LINES_SHOWN} lines`)
  for (const line of trace.slice(-LINES_SHOWN)) say(`  ${line}`)
}

async function many({ from, to, minutes, workers, coverage, first }: Arguments): Promise<boolean> {
  const began = Date.now()
  const tally = new Tally()
  let at = from
  const isOver = (): boolean =>
    at > to || (first && tally.failed.length > 0) || Date.now() - began > minutes * 60_000
  const next = (): number | undefined => (isOver() ? undefined : at++)
  let shownAt = began
  await runSeeds(next, workers, (report) => {
    tally.add(report)
    if (report.problems.length > 0) {
      say(`seed ${report.seed} FAILED: ${report.problems[0] ?? ''}`)
      say(`  ${command({ seed: report.seed })}`)
    }
    if (Date.now() - shownAt < PROGRESS_MS) return
    shownAt = Date.now()
    const text = `${tally.runs} seeds, ${tally.failed.length} failed, ${Math.round((shownAt - began) / 1000)} s`
    if (process.stderr.isTTY) process.stderr.write(`\r${text}  `)
  })
  const share = tally.coverage(OPERATION_KINDS)
  say(
    `${tally.runs} seeds from ${from} in ${Math.round((Date.now() - began) / 1000)} s: ${tally.failed.length} failed; ` +
      `${tally.operations} operations, ${tally.events} events, ${(tally.virtualMs / 3_600_000).toFixed(1)} virtual hours, ` +
      `${tally.helped} disks replaced; ${share.toFixed(1)} % of all pairs of operation and fault met`,
  )
  const missing = tally.missing(OPERATION_KINDS)
  if (share < 100 && missing.length <= 40) say(`  never met: ${missing.join(', ')}`)
  for (const { seed } of tally.failed.slice(0, first ? 0 : SHRUNK_MAX)) {
    say(`\nseed ${seed}:`)
    await showSmallest(await simulate({ seed }))
  }
  if (share < coverage)
    say(`the workload is blind: ${share.toFixed(1)} % of the pairs met, ${coverage} % are asked for`)
  return tally.failed.length === 0 && share >= coverage
}

try {
  const given = readArguments(process.argv.slice(2))
  const good = await (given.from === given.to ? one(given) : many(given))
  process.exitCode = good ? 0 : 1
} catch (caught) {
  if (!(caught instanceof Error)) throw caught
  say(`${caught.message}\n${USAGE}`)
  process.exitCode = 2
}
