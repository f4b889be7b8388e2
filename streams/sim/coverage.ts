/**
 * Which operations met which: pairs of kinds that were in flight at the same time, and kinds that were in flight while a fault was active. A
 * simulator is blind where its workload never makes two things meet, so the share of pairs that were met is counted and printed.
 */
import { operationKind } from './history.ts'
import type { Entry, OperationKind } from './history.ts'

export const OPERATION_KINDS = [
  'put',
  'cas',
  'ttl',
  'delete',
  'increment',
  'txn',
  'get-linearizable',
  'get-session',
  'get-eventual',
  'get-at',
  'getMany',
  'scan',
  'watch',
  'history',
  'outcome',
  'foreign',
  'rubbish',
  'cut',
] as const satisfies readonly OperationKind[]

export interface CoverageReport {
  readonly pairs: Share
  /** Of operation kinds and the fault kinds that were named. */
  readonly faults: Share
}

export interface Share {
  readonly met: number
  readonly all: number
  /** `put × scan` */
  readonly missing: readonly string[]
}

/** `kill n2` → `kill`: the first word is the kind. */
export const faultKind = (name: string): string => name.split(' ')[0] ?? name

export class Coverage {
  readonly #faultKinds: readonly string[]
  readonly #pairs = new Map<string, number>()
  readonly #open = new Map<number, OperationKind>()
  /** How many operations of a kind are in flight. */
  readonly #inFlight = new Map<string, number>()
  readonly #active = new Map<string, number>()

  /** @param faultKinds - that the run can have */
  constructor(faultKinds: readonly string[]) {
    this.#faultKinds = faultKinds
  }

  /** Takes every entry of the history, in order. */
  take(entry: Entry): void {
    switch (entry.type) {
      case 'call': {
        const kind = operationKind(entry.call)
        for (const [other, count] of this.#inFlight) if (count > 0) this.#meet(pair(kind, other))
        for (const [fault, count] of this.#active) if (count > 0) this.#meet(`${kind} × ${fault}`)
        this.#open.set(entry.op, kind)
        add(this.#inFlight, kind, 1)
        break
      }
      case 'return': {
        const kind = this.#open.get(entry.op)
        if (kind !== undefined) add(this.#inFlight, kind, -1)
        this.#open.delete(entry.op)
        break
      }
      case 'fault':
        add(this.#active, faultKind(entry.name), entry.active ? 1 : -1)
        if (entry.active)
          for (const [kind, count] of this.#inFlight)
            if (count > 0) this.#meet(`${kind} × ${faultKind(entry.name)}`)
        break
      case 'seen':
        break
    }
  }

  /** How many pairs that were not met yet an operation of this kind would meet now. */
  wouldMeet(kind: OperationKind): number {
    let count = 0
    for (const [other, open] of this.#inFlight)
      if (open > 0 && !this.#pairs.has(pair(kind, other))) count += 1
    for (const [fault, open] of this.#active)
      if (open > 0 && !this.#pairs.has(`${kind} × ${fault}`)) count += 1
    return count
  }

  /** Of this run and others together. */
  merge(other: Coverage): void {
    for (const [name, count] of other.#pairs) add(this.#pairs, name, count)
  }

  report(): CoverageReport {
    const pairs = OPERATION_KINDS.flatMap((one, at) =>
      OPERATION_KINDS.slice(at).map((other) => pair(one, other)),
    )
    const faults = OPERATION_KINDS.flatMap((one) => this.#faultKinds.map((fault) => `${one} × ${fault}`))
    return { pairs: this.#share(pairs), faults: this.#share(faults) }
  }

  #share(names: readonly string[]): Share {
    const missing = names.filter((name) => !this.#pairs.has(name))
    return { met: names.length - missing.length, all: names.length, missing }
  }

  #meet(name: string): void {
    add(this.#pairs, name, 1)
  }
}

export function coverageLines({ pairs, faults }: CoverageReport): readonly string[] {
  const line = (what: string, { met, all, missing }: Share): string => {
    const share = all === 0 ? 100 : Math.floor((1000 * met) / all) / 10
    return `${what}: ${met} of ${all} (${share} %)${missing.length === 0 ? '' : `; not ${missing.slice(0, 8).join(', ')}`}`
  }
  return [line('operation × operation', pairs), line('operation × fault', faults)]
}

const pair = (one: string, other: string): string => (one < other ? `${one} × ${other}` : `${other} × ${one}`)

function add(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by)
}
