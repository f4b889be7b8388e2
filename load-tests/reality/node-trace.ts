/**
 * Calls of a whole node one after the other, and what came of each as text: every version, verdict, row and event; at the end all rows, and
 * the chain of each replica, which is a hash over the effects of all its records. Time passes when a call says so.
 */
import { must } from '../../streams/core/assert.ts'
import { textToBytes } from '../../streams/core/bytes.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { Prng } from '../../streams/core/testing/prng.ts'
import type { LogTime, Offset, Partition } from '../../streams/core/types.ts'
import type { Keyspace, ReplicaStatus, TidemarkNode, Watch, WatchEvent } from '../../streams/face.ts'
import {
  isWrite,
  type Call,
  type ForeignCall,
  type Result,
  type WatchCall,
} from '../../streams/sim/history.ts'
import { perform, toRowSeen, type NodeCall } from '../../streams/sim/perform.ts'
import { Recorder } from '../../streams/sim/recorder.ts'
import { Workload } from '../../streams/sim/workload.ts'

export const NODE_PARTITIONS = 3
const CLIENTS = ['c1', 'c2', 'c3']
/** Milliseconds for one call. */
const CALL_MS = 20_000

export type NodeStep =
  | { readonly kind: 'call'; readonly client: string; readonly call: Call }
  /** Writes that are asked for at once, so that they share records. */
  | { readonly kind: 'together'; readonly calls: readonly NodeCall[] }
  /** Rows that are due by then expire, though nobody writes. */
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'restart' }

/** Time of log and node, as a trace moves it. */
export interface TraceClock {
  readonly elapsed: () => number
  /** Resolves when so much has passed, and the clock shows it. */
  pass(ms: number): Promise<void>
}

export interface NodeSide {
  readonly clock: TraceClock
  readonly settle: <T>(promise: Promise<T>) => Promise<T>
  /** Waits for something by itself: a few milliseconds. */
  rest(): Promise<void>
  /** Opens the node on its log and store. */
  open(random: Prng): Promise<TidemarkNode>
  /** A producer that knows nothing of the node. @returns the offset */
  produce(call: ForeignCall): Promise<number>
}

export interface NodeTrace {
  readonly lines: readonly string[]
  /** For who replays it: what was asked for. */
  readonly steps: readonly NodeStep[]
}

/** @param steps - what is asked for, or how much of it a workload shall think of */
export async function traceNode(
  side: NodeSide,
  seed: number,
  steps: readonly NodeStep[] | number,
): Promise<NodeTrace> {
  const run = new NodeRun(side, seed)
  const lines: string[] = []
  const made: NodeStep[] = []
  await run.open()
  try {
    const count = typeof steps === 'number' ? steps : steps.length
    for (let at = 0; at < count; at++) {
      const step = typeof steps === 'number' ? run.think() : must(steps[at], 'a step')
      made.push(step)
      lines.push(...(await run.take(step)))
    }
    lines.push(...(await run.whatIsLeft()))
  } finally {
    await run.close()
  }
  return { lines, steps: made }
}

interface OpenWatch {
  readonly watch: Watch
  readonly partitions: readonly number[]
}

class NodeRun {
  readonly #side: NodeSide
  readonly #random: Prng
  readonly #names: Prng
  readonly #recorder = new Recorder({ now: () => 0, keep: false })
  #workload: Workload | undefined
  #node: TidemarkNode | undefined
  #watches: OpenWatch[] = []
  /** Where each replica stood when it was last looked at, and what had elapsed then. */
  readonly #stood = new Map<number, { readonly next: number; readonly at: number }>()

  constructor(side: NodeSide, seed: number) {
    this.#side = side
    this.#random = new Prng(seed)
    this.#names = new Prng(seed + 1)
  }

  get #running(): TidemarkNode {
    return must(this.#node, 'a node')
  }

  get #keyspace(): Keyspace {
    return this.#running.keyspace('default')
  }

  async open(): Promise<void> {
    this.#node = await this.#side.settle(this.#side.open(this.#names))
    this.#node.join('127.0.0.1:7400')
    await this.#until(() => this.#running.ready && this.#running.vitals().leading === NODE_PARTITIONS)
    this.#workload ??= new Workload(this.#random, {
      partitions: NODE_PARTITIONS,
      partitionOf: (key) => this.#keyspace.partitionOf(textToBytes(key)),
      ttlMsMax: 60,
    })
  }

  async close(): Promise<void> {
    await this.#side.settle(this.#running.close(this.#deadline))
  }

  get #deadline(): number {
    return this.#side.clock.elapsed() + CALL_MS
  }

  async #until(come: () => boolean | Promise<boolean>): Promise<void> {
    for (let looks = 0; !(await come()); looks++) {
      if (looks > 5000) throw new Error('it does not come')
      await this.#side.rest()
    }
  }

  think(): NodeStep {
    const random = this.#random
    const workload = must(this.#workload, 'a workload')
    if (random.chance(4)) return { kind: 'time', ms: 5 + random.below(60) }
    if (random.chance(1)) return { kind: 'restart' }
    const client = CLIENTS[random.below(CLIENTS.length)] ?? 'c1'
    if (random.chance(8)) {
      const calls: NodeCall[] = []
      for (let tries = 0; tries < 12; tries++) {
        const call = workload.next(client)
        if (isWrite(call)) calls.push(call)
      }
      return { kind: 'together', calls }
    }
    return { kind: 'call', client, call: workload.next(client) }
  }

  async take(step: NodeStep): Promise<readonly string[]> {
    switch (step.kind) {
      case 'time':
        return [`time: ${await this.#time(step.ms)}`]
      case 'restart':
        for (const watch of this.#watches.splice(0)) await this.#leave(watch)
        await this.close()
        await this.open()
        return ['restart']
      case 'together': {
        const results = await this.#side.settle(
          Promise.all(step.calls.map((call) => this.#perform('c1', call))),
        )
        const lines = results.map(
          (result, at) => `${step.calls[at]?.kind}: ${resultText(step.calls[at], result)}`,
        )
        for (const result of results) await this.#applied(result)
        return lines
      }
      case 'call':
        return [`${step.call.kind}: ${await this.#call(step.client, step.call)}`]
    }
  }

  async #call(client: string, call: Call): Promise<string> {
    const workload = must(this.#workload, 'a workload')
    switch (call.kind) {
      case 'watch':
        return this.#watch(call)
      case 'cut': {
        const oldest = this.#watches.shift()
        return oldest === undefined ? 'nobody' : this.#leave(oldest)
      }
      case 'foreign':
      case 'rubbish': {
        const offset = await this.#side.settle(this.#side.produce(call))
        const answer = { kind: 'appended', partition: call.partition, offset } as const
        workload.learn(client, call, { status: 'ok', answer })
        await this.#applied({ status: 'ok', answer })
        return String(offset)
      }
      default: {
        const result = await this.#side.settle(this.#perform(client, call))
        workload.learn(client, call, result)
        await this.#applied(result)
        return resultText(call, result)
      }
    }
  }

  #perform(client: string, call: NodeCall): Promise<Result> {
    const asked = { client, node: 'n1', keyspace: this.#keyspace, deadline: this.#deadline }
    return perform(this.#recorder, asked, call)
  }

  /** How far behind its log a replica is when it is asked is no promise: it is asked when it has come there (`staleness`). */
  async #applied(result: Result): Promise<void> {
    if (result.status !== 'ok') return
    const { answer } = result
    if (answer.kind !== 'appended' && answer.kind !== 'written') return
    const { partition, offset } = answer
    if (offset === undefined) return
    const waited = this.#keyspace.outcome(partition as Partition, offset as Offset, this.#deadline)
    // What is there is asked for elsewhere.
    await this.#side.settle(waited.catch(() => undefined))
  }

  #replicas(): readonly ReplicaStatus[] {
    return [...this.#running.replicas()].sort((a, b) => a.partition - b.partition)
  }

  // ---- time ----

  /** Passes time, and waits until what is due by then in each partition has expired. */
  async #time(ms: number): Promise<string> {
    const { clock } = this.#side
    const before = this.#running.replicas()
    for (const { partition, next } of before)
      if (this.#stood.get(partition)?.next !== next) this.#stood.set(partition, { next, at: clock.elapsed() })
    await this.#side.settle(clock.pass(ms))
    const dueBy = new Map(
      before.map(({ partition, time }) => [
        partition as number,
        time + clock.elapsed() - must(this.#stood.get(partition), 'a place').at,
      ]),
    )
    await this.#until(async () => {
      for (const { partition, rows } of await this.#rows())
        if (rows.some(({ expiresAt }) => expiresAt !== 0 && expiresAt <= (dueBy.get(partition) ?? 0)))
          return false
      return true
    })
    for (const { partition, next } of this.#running.replicas())
      this.#stood.set(partition, { next, at: clock.elapsed() })
    return this.#replicas()
      .map(({ next }) => next)
      .join()
  }

  // ---- watches ----

  async #watch(call: WatchCall): Promise<string> {
    const positions = call.resume.map(({ partition, offset }) => ({
      keyspace: 'default',
      partition: partition as Partition,
      offset: offset as Offset,
    }))
    try {
      const watch = await this.#side.settle(
        this.#keyspace.watch({
          range: {
            start: textToBytes(call.start),
            end: call.end === undefined ? undefined : textToBytes(call.end),
          },
          ...(positions.length === 0 ? {} : { resume: { logIdentity: '', positions } }),
          initialRows: call.initialRows,
          exact: call.exact,
          previousRows: call.previousRows,
          progressIntervalMs: 100,
        }),
      )
      this.#watches.push({ watch, partitions: Array.from({ length: NODE_PARTITIONS }, (_, at) => at) })
    } catch (caught) {
      return TidemarkError.from(caught).reason
    }
    const oldest = this.#watches.length > 3 ? this.#watches.shift() : undefined
    return oldest === undefined ? 'watching' : this.#leave(oldest)
  }

  /** Everything that it was told of what has been applied by now, by partition: partitions are not ordered among each other. */
  async #leave({ watch, partitions }: OpenWatch): Promise<string> {
    const ends = new Map(
      this.#running.replicas().map(({ partition, next }) => [partition as number, next - 1]),
    )
    const reached = new Map<number, number>()
    const seen = partitions.map((): string[] => [])
    let failed = ''
    try {
      while (partitions.some((at) => (reached.get(at) ?? -1) < (ends.get(at) ?? -1))) {
        const told = await this.#side.settle(watch.next())
        if (told.done === true) break
        const { value } = told
        for (const event of value.events)
          seen[event.partition]?.push(`${value.mark === 'events' ? '' : value.mark}${eventText(event)}`)
        for (const { partition, offset } of value.positions) reached.set(partition, offset)
      }
      await this.#side.settle(Promise.resolve(watch.return?.()))
    } catch (caught) {
      failed = TidemarkError.from(caught).reason
    }
    const positions = [...reached]
      .map(([partition, offset]) => ({ partition, offset }))
      .sort((a, b) => a.partition - b.partition)
    this.#workload?.ended({ positions })
    return `${failed} ${JSON.stringify(seen)} ${JSON.stringify(positions)}`
  }

  // ---- what is left ----

  async #rows(): Promise<
    readonly { readonly partition: number; readonly rows: readonly ReturnType<typeof toRowSeen>[] }[]
  > {
    return Promise.all(
      Array.from({ length: NODE_PARTITIONS }, async (_, partition) => {
        const scan = await this.#side.settle(
          this.#keyspace.scan({
            consistency: 'eventual',
            deadline: this.#deadline,
            range: { start: new Uint8Array(0), end: undefined },
            partitions: [partition as Partition],
          }),
        )
        const rows = []
        for (;;) {
          const some = await this.#side.settle(scan.rows.next())
          if (some.done === true) break
          rows.push(...some.value.map(toRowSeen))
        }
        return { partition, rows }
      }),
    )
  }

  async whatIsLeft(): Promise<readonly string[]> {
    for (const watch of this.#watches.splice(0)) await this.#leave(watch)
    const rows = (await this.#rows()).map((one) => `rows: ${JSON.stringify(one)}`)
    return [
      ...rows,
      ...this.#replicas().map(
        ({ partition, state, next, epoch, leader, time, rejected, historyStart, chainHash }) =>
          `replica: ${JSON.stringify({ partition, state, next, epoch, leader, time, rejected, historyStart, chainHash })}`,
      ),
    ]
  }
}

/** Whoever asks to hear of the log alone is told of the outcome, where it was known by then (`logged-outcome`). */
function resultText(call: Call | undefined, result: Result): string {
  const isLogged = call !== undefined && isWrite(call) && call.durability === 'logged'
  if (!isLogged || result.status !== 'ok' || result.answer.kind !== 'written') return JSON.stringify(result)
  const { partition, offset } = result.answer
  return `logged at ${partition}:${offset}`
}

const eventText = ({ kind, row, time, previous }: WatchEvent): string =>
  JSON.stringify([
    kind,
    toRowSeen(row),
    time as LogTime,
    previous === undefined ? undefined : toRowSeen(previous),
  ])
