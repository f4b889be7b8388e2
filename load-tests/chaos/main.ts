/** `npm run chaos`: workloads × nemeses on real processes. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { tableText } from '../../services/cli/output.ts'
import { type CellResult, cellName } from './cell.ts'
import { type Cell, LONG, NEMESES, SHORT, chosen } from './matrix.ts'
import { runCells } from './run.ts'
import { sumOf } from './traffic.ts'
import { WORKLOADS } from './workloads.ts'

const HELP = `Workloads × nemeses on three real brokers and three nodes, every answer checked. Needs Linux, Java 17 and Maven.

  npm run chaos -- [options]

  --cells LIST      by comma: counters/kill-node, */stale-broker, leases/* (two workloads for each nemesis)
  --short           the few cells that run with every commit, 10 s each
  --seconds N       of load in each cell; nemeses take what they need (60)
  --seed N          of the first cell; the next ones have the next ones (the clock)
  --clients N       that read and write in each cell (16)
  --other-build F   the main.js of another build of Tidemark, for mixed versions
  --json FILE       also write the results as JSON
  --keep DIR        where story, history and logs of a cell that failed are kept (chaos-failures)
  --list            what cells there are
  --help            this text

Exit code 0: all passed (or skipped where the machine does not allow it); 1: one failed, or was void.
`

const { values } = parseArgs({
  options: {
    cells: { type: 'string' },
    short: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    seed: { type: 'string' },
    clients: { type: 'string', default: '16' },
    'other-build': { type: 'string' },
    json: { type: 'string' },
    keep: { type: 'string', default: 'chaos-failures' },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else if (values.list) process.stdout.write(listText())
else process.exitCode = await run()

async function run(): Promise<number> {
  const cells = values.cells === undefined ? (values.short ? SHORT : LONG) : chosen(values.cells.split(','))
  const began = performance.now()
  const results = await runCells({
    cells,
    seconds: Number(values.seconds ?? (values.short ? 10 : 60)),
    seed: Number(values.seed ?? Math.floor(Date.now() / 1000)),
    clients: Number(values.clients),
    keep: values.keep,
    otherBuild: values['other-build'],
    longRun: !values.short,
    say: (sentence) => {
      console.error(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  ${sentence}`)
    },
  })
  process.stdout.write(`\n${resultsTable(results)}`)
  if (values.json !== undefined)
    await writeFile(values.json, JSON.stringify(results.map(withoutHistory), undefined, 2))
  return results.every(({ verdict }) => verdict === 'passed' || verdict === 'skipped') ? 0 : 1
}

function withoutHistory({ history: _, ...rest }: CellResult): Omit<CellResult, 'history'> {
  return rest
}

function resultsTable(results: readonly CellResult[]): string {
  const rows = results.map(({ cell, traffic, healedMs, verdict, faults, proof }) => [
    cell,
    verdict.toUpperCase(),
    String(traffic?.ops ?? 0),
    String(traffic?.acknowledgedWrites ?? 0),
    String(traffic === undefined ? 0 : sumOf(traffic.failedReads)),
    String(traffic === undefined ? 0 : sumOf(traffic.unknownWrites)),
    `${((traffic?.longestWriteGapMs ?? 0) / 1000).toFixed(1)} s`,
    healedMs === undefined ? '-' : `${(healedMs / 1000).toFixed(1)} s`,
    faults[0] ?? proof ?? '',
  ])
  const heads = [
    'CELL',
    'VERDICT',
    'OPS',
    'WRITES ACKED',
    'READS FAILED',
    'WRITES UNKNOWN',
    'WRITE GAP',
    'HEALED',
    'PROOF',
  ]
  return tableText(heads, rows)
}

function listText(): string {
  const workloads = WORKLOADS.map(({ name, about }) => [name, about])
  const nemeses = NEMESES.map(({ name, about }) => [name, about])
  const names = (cells: readonly Cell[]): string => cells.map(cellName).join('\n  ')
  return `${tableText(['WORKLOAD', ''], workloads)}\n${tableText(['NEMESIS', ''], nemeses)}
${WORKLOADS.length * NEMESES.length} cells; by default ${LONG.length}; with --short\n  ${names(SHORT)}\n`
}
