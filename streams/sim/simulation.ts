/**
 * One run: a small cluster of production nodes over a simulated Kafka, clients, and faults, all by one seed.
 *
 *   start ─▶ at rest ─▶ clients and faults ─▶ faults end ─▶ at rest again (liveness) ─▶ everything is checked (safety)
 *
 * In every fourth seed nobody waits for the faults to end: what is checked is what stands in the middle of them.
 */
import { partitionOf } from '../core/partitioner.ts'
import type { Prng } from '../core/testing/prng.ts'
import { SimulatedClient } from './clients.ts'
import { OPERATION_KINDS } from './coverage.ts'
import { calm, Injector, planFaults, type Fault, type Site } from './faults.ts'
import { Group } from './group.ts'
import { harvest } from './harvest.ts'
import { operationKind, type Call, type History } from './history.ts'
import { SimulatedKafka } from './kafka.ts'
import { Machine } from './machine.ts'
import { onCall } from './operator.ts'
import { REPLICA_BOUNDS, type ReplicaBounds } from '../replica/bounds.ts'
import { Recorder } from './recorder.ts'
import { unrest } from './rest.ts'
import { pairOf } from './tally.ts'
import { verdict } from './verdict.ts'
import { Workload } from './workload.ts'
import { World } from './world.ts'

/** Virtual milliseconds until a new cluster is at rest, until clients are done, and until all is at rest once the faults have ended. */
const START_MS = 60_000
const WORK_MS = 90_000
const HEAL_MS = 180_000
/** Virtual milliseconds in which faults begin. */
const FAULTS_MS = 12_000
/** Virtual milliseconds after which a client makes no more calls: where nobody answers, each takes long. */
const CLIENT_MS = 30_000
/** Virtual milliseconds between two looks whether what is waited for has come. */
const LOOK_MS = 50

/** Reasons that no client must ever hear: whoever finds damage stops the replica, and refuses with PARTITION_STOPPED. */
const DAMAGED: readonly string[] = ['STORE_CORRUPT', 'INTERNAL']

export interface SimulationOptions {
  readonly seed: number
  readonly keepTrace?: boolean
  /** Numbers of the faults that happen; by default all that the seed plans. */
  readonly faults?: ReadonlySet<number> | undefined
  /** Calls of each client at most; by default as many as the seed says. */
  readonly calls?: number | undefined
}

export interface RunResult {
  readonly seed: number
  /** SHA-256 of everything that happened, in order. */
  readonly traceHash: string
  readonly trace: readonly string[]
  /** What was found wrong; empty = all is well. */
  readonly problems: readonly string[]
  readonly faults: readonly Fault[]
  readonly events: number
  readonly operations: number
  readonly virtualMs: number
  /** How often people had to help. */
  readonly helped: number
  /** Kinds of operations and of faults that met: `put × kill`. */
  readonly met: ReadonlySet<string>
  readonly history: History
}

export async function simulate(options: SimulationOptions): Promise<RunResult> {
  const run = new Run(options)
  const rejected = (cause: unknown): void => {
    const text = String(cause instanceof Error ? cause.stack : cause)
    run.problem(`a promise was rejected and nobody heard: ${text}`)
  }
  process.on('unhandledRejection', rejected)
  try {
    return await run.whole()
  } finally {
    process.off('unhandledRejection', rejected)
  }
}

class Run {
  readonly #options: SimulationOptions
  readonly #world: World
  readonly #site: Site
  readonly #recorder: Recorder
  readonly #injector: Injector
  readonly #faults: readonly Fault[]
  readonly #partitions: number
  readonly #replication: number
  readonly #problems: string[] = []
  readonly #met = new Set<string>()
  readonly #known = new Set<string>()
  readonly #random: Prng
  #operations = 0
  #helped = 0

  constructor(options: SimulationOptions) {
    this.#options = options
    const { seed } = options
    const world = new World({ seed, keepTrace: options.keepTrace ?? false })
    this.#world = world
    this.#random = world.random('run')
    this.#partitions = 1 + this.#random.below(4)
    this.#replication = 1 + this.#random.below(3)
    const kafka = new SimulatedKafka(world)
    kafka.faults.replicationMs = 2
    const shared = {
      world,
      kafka,
      group: new Group(world),
      partitions: this.#partitions,
      replication: this.#replication,
      bounds: boundsOf(this.#random),
      processOf: (id: string) => machines.find((machine) => machine.id === id)?.running,
    }
    const nodes = Math.max(2, this.#replication + this.#random.below(3))
    const machines: readonly Machine[] = Array.from(
      { length: nodes },
      (_, at) => new Machine({ ...shared, id: `n${at + 1}` }),
    )
    for (const { connection } of machines) Object.assign(connection, calm())
    world.onCrash = (life, cause) => {
      machines.find((machine) => machine.owns(life))?.crashed(cause)
    }
    this.#site = { ...shared, machines, random: world.random('damage') }
    this.#recorder = new Recorder({ now: () => world.elapsed })
    this.#injector = new Injector(this.#site, this.#recorder)
    const planned = planFaults(world.random('faults'), FAULTS_MS)
    this.#faults = planned.filter((_, at) => options.faults?.has(at) ?? true)
  }

  problem(sentence: string): void {
    this.#world.note(`PROBLEM ${sentence}`)
    this.#problems.push(sentence)
  }

  async whole(): Promise<RunResult> {
    const { seed } = this.#options
    const world = this.#world
    const { machines } = this.#site
    for (const machine of machines) machine.start()
    if (await this.#rests('the new cluster', START_MS)) {
      const clients = this.#work()
      this.#injector.plan(this.#faults)
      if (!(await this.#until(() => clients.done && world.elapsed > FAULTS_MS, WORK_MS)))
        this.problem(`clients do not end within ${WORK_MS} ms`)
      if (seed % 4 > 0) await this.#heals()
    }
    const history = await harvest(this.#site, this.#recorder.entries, this.#partitions, (sentence) => {
      this.problem(sentence)
    })
    for (const machine of machines)
      for (const death of machine.deaths) this.problem(`${machine.id} threw: ${death}`)
    for (const fault of verdict(history)) this.problem(fault)
    return {
      seed,
      traceHash: world.traceHash(),
      trace: world.trace,
      problems: this.#problems,
      faults: this.#faults,
      events: world.events,
      operations: this.#operations,
      virtualMs: world.elapsed,
      helped: this.#helped,
      met: this.#met,
      history,
    }
  }

  async #heals(): Promise<void> {
    this.#injector.end()
    const end = onCall(this.#site, () => (this.#helped += 1))
    await this.#rests('without faults it', HEAL_MS)
    end()
  }

  async #rests(what: string, withinMs: number): Promise<boolean> {
    const why = (): readonly string[] => unrest(this.#site, this.#replication)
    if (await this.#until(() => why().length === 0, withinMs)) return true
    this.problem(`${what} does not come to rest within ${withinMs} ms: ${why().join('; ')}`)
    return false
  }

  async #until(true_: () => boolean, withinMs: number): Promise<boolean> {
    const end = this.#world.elapsed + withinMs
    while (!true_()) {
      if (this.#world.elapsed >= end || this.#problems.length > 0) return false
      let passed = false
      this.#world.after(undefined, LOOK_MS, () => (passed = true))
      await this.#world.run(() => passed)
    }
    return true
  }

  // ---- clients ----

  #work(): { readonly done: boolean } {
    const random = this.#world.random('workload')
    const kinds = OPERATION_KINDS.filter(() => random.chance(70))
    const workload = new Workload(random, {
      partitions: this.#partitions,
      partitionOf: (key) => partitionOf(Buffer.from(key, 'latin1'), this.#partitions, { kind: 'key' }),
      ...(kinds.length === 0 ? {} : { kinds }),
    })
    // Many at once write packs together, few get far.
    const count = 1 + random.below(random.pick([4, 12]))
    const calls = Math.min(20 + random.below(Math.ceil(200 / count)), this.#options.calls ?? Infinity)
    let left = count
    for (let at = 1; at <= count; at++) void this.#client(`c${at}`, calls, workload).then(() => (left -= 1))
    return {
      get done() {
        return left === 0
      },
    }
  }

  async #client(name: string, calls: number, workload: Workload): Promise<void> {
    const world = this.#world
    const random = world.random(`pauses of ${name}`)
    const client = new SimulatedClient({
      world,
      recorder: this.#recorder,
      machines: this.#site.machines,
      kafka: this.#site.kafka,
      known: this.#known,
      name,
      watched: (positions) => {
        workload.ended({ positions })
      },
      asks: (call) => {
        this.#meets(call)
      },
    })
    const restMs = random.pick([5, 50, 500])
    const end = world.now + CLIENT_MS
    for (let n = 0; n < calls && world.now < end; n++) {
      await world.sleep(random.below(restMs))
      this.#operations += 1
      const call = workload.next(name)
      const result = await client.call(call)
      if (result !== undefined) workload.learn(name, call, result)
      if (result?.status === 'failed' && DAMAGED.includes(result.reason))
        this.problem(
          `${name} was told ${result.reason} by a node that serves: it should have stopped that replica`,
        )
    }
    client.end()
  }

  #meets(call: Call): void {
    const kind = operationKind(call)
    for (const fault of this.#injector.active) this.#met.add(pairOf(kind, fault))
  }
}

/** Replicas of half of the runs keep so little of the past that watches fall out of it. */
function boundsOf(random: Prng): ReplicaBounds {
  if (random.chance(50)) return REPLICA_BOUNDS
  const historyRecords = 1 + random.below(40)
  return {
    historyRecords,
    historyBytes: random.pick([1000, 100_000]),
    segmentBytes: random.pick([1, 200, 64_000]),
    recentRecords: 1 + random.below(20),
    recentBytes: random.pick([300, 100_000]),
    tombstoneRecords: historyRecords + 1 + random.below(60),
  }
}
