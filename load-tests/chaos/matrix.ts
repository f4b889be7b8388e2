/** Which cells there are, and which of them a run takes. */
import { must } from '../../streams/core/assert.ts'
import { BROKER_NEMESES } from './broker-nemeses.ts'
import { BUILD_NEMESES } from './build-nemeses.ts'
import { cellName } from './cell.ts'
import { DATA_NEMESES } from './data-nemeses.ts'
import { LOG_NEMESES } from './log-nemeses.ts'
import { NETWORK_NEMESES } from './network-nemeses.ts'
import { NODE_NEMESES } from './node-nemeses.ts'
import type { Nemesis } from './nemesis.ts'
import { WORKLOADS, type Workload } from './workloads.ts'

export const NEMESES: readonly Nemesis[] = [
  ...NODE_NEMESES,
  ...BROKER_NEMESES,
  ...NETWORK_NEMESES,
  ...DATA_NEMESES,
  ...LOG_NEMESES,
  ...BUILD_NEMESES,
]

export interface Cell {
  readonly workload: Workload
  readonly nemesis: Nemesis
}

/** Every workload with every nemesis. */
export const ALL: readonly Cell[] = NEMESES.flatMap((nemesis) =>
  WORKLOADS.map((workload) => ({ workload, nemesis })),
)

/** Each nemesis with two of the workloads, each workload about as often. */
export const LONG: readonly Cell[] = ALL.filter((_, at) => (Math.floor(at / WORKLOADS.length) + at) % 2 === 0)

/** What a commit has to stand. */
export const SHORT: readonly Cell[] = [
  'counters/kill-node',
  'transfers/pause-node',
  'registers/cut-node-from-kafka',
  'registers/stale-broker',
  'leases/cut-node-from-nodes',
].map(find)

function find(name: string): Cell {
  return must(
    ALL.find((cell) => cellName(cell) === name),
    `the cell ${name}`,
  )
}

/** @param patterns - `workload/nemesis`, either of which may be `*` @throws Error for one that fits nothing */
export function chosen(patterns: readonly string[]): readonly Cell[] {
  const cells = patterns.flatMap((pattern) => {
    const [workload = '', nemesis = '*'] = pattern.split('/')
    const fits = (wanted: string, name: string): boolean => wanted === '*' || wanted === name
    const found = ALL.filter((cell) => fits(workload, cell.workload.name) && fits(nemesis, cell.nemesis.name))
    if (found.length === 0) throw new Error(`there is no cell ${pattern}: see --list`)
    return found
  })
  return [...new Set(cells)]
}
