/**
 * What goes wrong in a run, by seed: a list of faults, each with a beginning and an end, planned before anything runs, so that a run
 * can be repeated with some of them left out. As a swarm: each seed switches on some kinds only, at rates of its own, because a run with
 * everything at once never gets far enough to go wrong in an interesting way.
 */
import type { Prng } from '../core/testing/prng.ts'
import type { Machine } from './machine.ts'
import { TOPIC } from './machine.ts'
import type { SimulatedKafka } from './kafka.ts'
import type { BrokerPartition } from './broker-partition.ts'
import type { Group } from './group.ts'
import { appendTime } from './broker-partition.ts'
import { noFaults } from './connection.ts'
import type { Recorder } from './recorder.ts'
import type { World } from './world.ts'

export interface Fault extends Hardness {
  readonly kind: FaultKind
}

interface Hardness {
  /** Milliseconds after the faults begin. */
  readonly at: number
  readonly lasts: number
  /** Which machine, broker or partition, counted round. */
  readonly target: number
  /** 1 to 100: how bad. */
  readonly strength: number
}

/** Where faults are done. */
export interface Site {
  readonly world: World
  readonly kafka: SimulatedKafka
  readonly group: Group
  readonly machines: readonly Machine[]
  readonly random: Prng
}

/** Returns what ends it; kinds that are over at once return nothing. */
type Inject = (site: Site, fault: Hardness) => (() => void) | undefined

const machineOf = ({ machines }: Site, { target }: Hardness): Machine => {
  const machine = machines[target % machines.length]
  if (machine === undefined) throw new Error('there is no machine')
  return machine
}

function partitionOf({ kafka }: Site, { target }: Hardness): BrokerPartition | undefined {
  const partitions = kafka.topic(TOPIC)?.partitions ?? []
  return partitions[target % Math.max(1, partitions.length)]
}

/** The group hears of a death after 0.1 to 6 s, as probes or the session tell. */
const sessionMs = ({ strength }: Hardness): number => 100 + strength * 59

/** The connections of one machine, or of all when the strength is odd. */
function onConnections(
  site: Site,
  fault: Hardness,
  change: (faults: Machine['connection']) => () => void,
): () => void {
  const machines = fault.strength % 2 === 1 ? site.machines : [machineOf(site, fault)]
  const undo = machines.map(({ connection }) => change(connection))
  return () => {
    for (const one of undo) one()
  }
}

const INJECT = {
  kill(site, fault) {
    machineOf(site, fault).kill(fault.lasts, sessionMs(fault))
    return undefined
  },
  'power-loss'(site, fault) {
    const machine = machineOf(site, fault)
    if (!machine.alive) return undefined
    machine.kill(fault.lasts, sessionMs(fault))
    const lost = machine.disk.losePower(site.random)
    site.world.note(`${machine.id} loses ${lost} batches`)
    return undefined
  },
  'crash-at-write'(site, fault) {
    const machine = machineOf(site, fault)
    machine.disk.crashAtWrite(1 + (fault.strength % 20), () => {
      machine.kill(fault.lasts, sessionMs(fault))
    })
    return undefined
  },
  pause(site, fault) {
    const machine = machineOf(site, fault)
    machine.pause()
    // The others take it for dead, or do not notice.
    if (fault.strength > 30)
      site.world.after(undefined, sessionMs(fault) / 3, () => {
        if (machine.paused) machine.expire()
      })
    return () => {
      machine.resume()
    }
  },
  'cut-log': (site, fault) =>
    onConnections(site, { ...fault, strength: 2 }, (faults) => {
      faults.cut = true
      return () => (faults.cut = false)
    }),
  'cut-group'(site, fault) {
    const { id } = machineOf(site, fault)
    const incarnation = site.group.incarnationOf(id)
    site.group.cut(id)
    site.world.after(undefined, sessionMs(fault), () => {
      site.group.evict(id, incarnation)
    })
    return () => {
      site.group.heal(id)
    }
  },
  'session-expiry'(site, fault) {
    machineOf(site, fault).expire()
    return undefined
  },
  'hold-map'(site, fault) {
    const { id } = machineOf(site, fault)
    site.group.hold(id)
    return () => {
      site.group.release(id)
    }
  },
  'leader-change'(site, fault) {
    const partition = partitionOf(site, fault)
    if (partition === undefined) return undefined
    partition.loseLeader()
    return () => {
      const [first] = [...partition.inSync].filter((broker) => !site.kafka.down.has(broker))
      if (partition.leader === undefined && first !== undefined) partition.elect(first)
      site.kafka.stir(partition)
    }
  },
  'broker-down'({ kafka, world }, { target, lasts }) {
    const broker = kafka.brokers[target % kafka.brokers.length] ?? 0
    // With two of three down nothing could be appended.
    if (kafka.down.size > 0) return undefined
    kafka.down.add(broker)
    const partitions = kafka.topic(TOPIC)?.partitions ?? []
    for (const partition of partitions) if (partition.leader === broker) partition.loseLeader()
    world.after(undefined, Math.min(lasts / 2, 500), () => {
      for (const partition of partitions) {
        partition.shrink(broker)
        const [first] = [...partition.inSync].filter((other) => other !== broker)
        if (partition.leader === undefined && first !== undefined) partition.elect(first)
        kafka.stir(partition)
      }
    })
    return () => {
      kafka.down.delete(broker)
      kafka.stirAll()
    }
  },
  'slow-followers'({ kafka }, { strength }) {
    kafka.faults.replicationMs = strength * 20
    return () => (kafka.faults.replicationMs = 2)
  },
  slow: (site, fault) =>
    onConnections(site, fault, (faults) => {
      faults.delayMs = [1, fault.strength * 10]
      return () => (faults.delayMs = [0.1, 3])
    }),
  'requests-lost': (site, fault) =>
    onConnections(site, fault, (faults) => {
      faults.requestsLost = Math.ceil(fault.strength / 3)
      return () => (faults.requestsLost = 0)
    }),
  'answers-lost': (site, fault) =>
    onConnections(site, fault, (faults) => {
      faults.answersLost = Math.ceil(fault.strength / 3)
      return () => (faults.answersLost = 0)
    }),
  'requests-late': (site, fault) =>
    onConnections(site, fault, (faults) => {
      faults.requestsLate = Math.ceil(fault.strength / 2)
      faults.lateMs = 10_000
      return () => (faults.requestsLate = 0)
    }),
  'producers-forgotten': (site, fault) =>
    onConnections(site, fault, (faults) => {
      faults.producersForgotten = fault.strength
      faults.answersLost = Math.ceil(fault.strength / 3)
      return () => (faults.producersForgotten = faults.answersLost = 0)
    }),
  'ends-unproved': (site, fault) =>
    onConnections(site, fault, (faults) => {
      faults.endsUnproved = fault.strength
      return () => (faults.endsUnproved = 0)
    }),
  'stale-metadata': (site, fault) =>
    onConnections(site, fault, (faults) => {
      faults.staleMs = fault.strength * 20
      return () => (faults.staleMs = 0)
    }),
  'small-reads': (site, fault) =>
    onConnections(site, fault, (faults) => {
      faults.readRecords = 1 + (fault.strength % 5)
      return () => (faults.readRecords = Infinity)
    }),
  gaps(site, fault) {
    const partition = partitionOf(site, fault)
    if (partition === undefined) return undefined
    const holes = Array.from({ length: 1 + (fault.strength % 4) }, () => undefined)
    partition.append(holes, appendTime(site.kafka.timeOf(partition)))
    site.kafka.stir(partition)
    return undefined
  },
  'broker-clock'(site, fault) {
    const broker = fault.target % site.kafka.brokers.length
    site.kafka.skew.set(broker, (fault.strength - 50) * 100)
    return () => site.kafka.skew.delete(broker)
  },
  trim(site, fault) {
    const { machines, kafka } = site
    const at = fault.target % Math.max(1, kafka.topic(TOPIC)?.partitions.length ?? 0)
    const live = machines.flatMap(({ running }) =>
      (running?.node.replicas() ?? []).filter(
        (one) => (one.partition as number) === at && one.state === 'live',
      ),
    )
    // As an operator does who keeps what the replica that serves furthest behind still needs; with one copy alone nobody trims.
    if (live.length < 2) return undefined
    const before = Math.min(...live.map(({ next }) => next))
    site.world.note(`partition ${at} is trimmed to ${before}`)
    partitionOf(site, { ...fault, target: at })?.trim(before)
    return undefined
  },
  'disk-full'(site, fault) {
    const { disk } = machineOf(site, fault)
    disk.full = true
    return () => (disk.full = false)
  },
  damage(site, fault) {
    const machine = machineOf(site, fault)
    const entries = machine.disk.damage(site.random)
    site.world.note(`${entries} entries of ${machine.id} are damaged`)
    return undefined
  },
  'clock-jump'(site, fault) {
    const machine = machineOf(site, fault)
    const by = (fault.strength - 50) * (fault.strength % 3 === 0 ? 60_000 : 100)
    machine.clock.jump(by)
    return () => {
      machine.clock.jump(-by)
    }
  },
  'clock-drift'(site, fault) {
    const machine = machineOf(site, fault)
    machine.clock.drift(1 + (fault.strength - 50) / 200)
    return () => {
      machine.clock.drift(1)
    }
  },
  stop(site, fault) {
    const machine = machineOf(site, fault)
    void machine.stop()
    return () => {
      site.world.after(undefined, 100, () => {
        machine.start()
      })
    }
  },
} as const satisfies Record<string, Inject>

export type FaultKind = keyof typeof INJECT

export const FAULT_KINDS = Object.keys(INJECT) as readonly FaultKind[]

export const describeFault = ({ kind, at, lasts, target, strength }: Fault): string =>
  `${kind} at ${at} ms for ${lasts} ms, target ${target}, strength ${strength}`

/** Kinds that cost more than the others, and are rarer for that. */
const RARE: ReadonlySet<FaultKind> = new Set(['damage', 'disk-full'])

export function planFaults(random: Prng, withinMs: number): readonly Fault[] {
  const faults: Fault[] = []
  // Some runs are quiet: what is wrong without any fault shall be found without any.
  const percent = random.pick([0, 10, 20, 30, 40, 60])
  for (const kind of FAULT_KINDS) {
    if (!random.chance(RARE.has(kind) ? percent / 3 : percent)) continue
    const times = 1 + random.below(random.pick([1, 3, 6]))
    for (let n = 0; n < times; n++)
      faults.push({
        kind,
        at: random.below(withinMs),
        lasts: 20 + random.below(random.pick([200, 2000, 8000])),
        target: random.below(1000),
        strength: 1 + random.below(100),
      })
  }
  // What stands nowhere but on these disks must not be lost there: a trimmed log with its copies damaged cannot be built again.
  const trims = faults.some(({ kind }) => kind === 'trim')
  const kept = faults.filter(({ kind }) => !trims || (kind !== 'damage' && kind !== 'power-loss'))
  return kept.sort((one, other) => one.at - other.at)
}

/** Lets them happen, and can end all at once. */
export class Injector {
  readonly #site: Site
  readonly #recorder: Recorder
  readonly #ends = new Set<() => void>()
  readonly #active = new Map<FaultKind, number>()
  #over = false

  constructor(site: Site, recorder: Recorder) {
    this.#site = site
    this.#recorder = recorder
  }

  /** Kinds that are at work now. */
  get active(): Iterable<FaultKind> {
    return this.#active.keys()
  }

  plan(faults: readonly Fault[]): void {
    for (const fault of faults)
      this.#site.world.after(undefined, fault.at, () => {
        if (!this.#over) this.#begin(fault)
      })
  }

  #begin(fault: Fault): void {
    const { world } = this.#site
    world.note(
      `fault ${fault.kind} begins: target ${fault.target}, strength ${fault.strength}, ${fault.lasts} ms`,
    )
    this.#count(fault.kind, 1)
    const undo = INJECT[fault.kind](this.#site, fault)
    const end = (): void => {
      if (!this.#ends.delete(end)) return
      world.note(`fault ${fault.kind} ends`)
      undo?.()
      this.#count(fault.kind, -1)
    }
    this.#ends.add(end)
    world.after(undefined, fault.lasts, end)
  }

  #count(kind: FaultKind, by: number): void {
    const count = (this.#active.get(kind) ?? 0) + by
    if (count === 0) this.#active.delete(kind)
    else this.#active.set(kind, count)
    this.#recorder.fault(kind, count > 0)
  }

  /** All is well from now on: what was cut is whole, what was down is up. */
  end(): void {
    this.#over = true
    for (const end of [...this.#ends]) end()
    const { machines, kafka, world } = this.#site
    world.note('all faults end')
    for (const machine of machines) {
      machine.resume()
      Object.assign(machine.connection, calm())
      machine.disk.full = false
      machine.disk.crashAtWrite(Infinity, () => undefined)
      machine.start()
    }
    kafka.down.clear()
    kafka.faults.replicationMs = 2
    for (const partition of kafka.all.flatMap(({ partitions }) => partitions)) {
      const [first] = partition.inSync
      if (partition.leader === undefined && first !== undefined) partition.elect(first)
    }
    kafka.stirAll()
  }
}

/** A connection on which nothing goes wrong, and nothing is instant. */
export const calm = (): Machine['connection'] => ({ ...noFaults(), delayMs: [0.1, 3] })
