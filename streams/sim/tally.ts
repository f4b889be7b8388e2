/** What many runs add up to. */
import { FAULT_KINDS } from './faults.ts'
import type { OperationKind } from './history.ts'

/** Of one run, as it travels between processes. */
export interface Report {
  readonly seed: number
  readonly traceHash: string
  readonly problems: readonly string[]
  readonly operations: number
  readonly events: number
  readonly virtualMs: number
  readonly helped: number
  readonly met: readonly string[]
}

export class Tally {
  runs = 0
  operations = 0
  events = 0
  virtualMs = 0
  helped = 0
  readonly failed: Report[] = []
  readonly #met = new Map<string, number>()

  add(report: Report): void {
    this.runs += 1
    this.operations += report.operations
    this.events += report.events
    this.virtualMs += report.virtualMs
    this.helped += report.helped
    if (report.problems.length > 0) this.failed.push(report)
    for (const pair of report.met) this.#met.set(pair, (this.#met.get(pair) ?? 0) + 1)
  }

  /** Pairs of an operation and a fault that never met. */
  missing(operations: readonly OperationKind[]): readonly string[] {
    return operations.flatMap((operation) =>
      FAULT_KINDS.map((fault) => pairOf(operation, fault)).filter((pair) => !this.#met.has(pair)),
    )
  }

  /** Of a hundred. */
  coverage(operations: readonly OperationKind[]): number {
    const all = operations.length * FAULT_KINDS.length
    return (100 * (all - this.missing(operations).length)) / all
  }
}

export const pairOf = (operation: string, fault: string): string => `${operation} × ${fault}`
