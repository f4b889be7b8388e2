/**
 * One machine of the cluster: a disk, a clock, a connection to Kafka, and the process of a node that starts, stops, dies and starts again
 * under the same id. What runs in the process is the production node (`openNode`), nothing of it is replaced.
 */
import { TidemarkError } from '../core/errors.ts'
import type { TidemarkNode } from '../face.ts'
import { newMeters } from '../meters.ts'
import { openNode } from '../node.ts'
import type { Telemetry } from '../ports.ts'
import { Connection, noFaults, type ConnectionFaults } from './connection.ts'
import type { ReplicaBounds } from '../replica/bounds.ts'
import { bootstrapFrom } from '../snapshot/bootstrap.ts'
import { DAMAGE } from '../store/memory.ts'
import { SimulatedDisk } from './disk.ts'
import type { Group } from './group.ts'
import type { SimulatedKafka } from './kafka.ts'
import { openSimulatedLog } from './log.ts'
import { NodeClock } from './node-clock.ts'
import { offersOf } from './peers.ts'
import { newLife, type Life, type World } from './world.ts'

export const CLUSTER = 'sim'
export const KEYSPACE = 'default'
export const TOPIC = `${CLUSTER}.${KEYSPACE}`

/** Milliseconds until a process that could not start, or died by itself, is started again. */
const RESTART_MS = 500
/** Milliseconds that a graceful stop may take. */
const STOP_MS = 5000

export interface MachineOptions {
  readonly world: World
  readonly kafka: SimulatedKafka
  readonly group: Group
  readonly id: string
  readonly partitions: number
  readonly replication: number
  /** How much of the past its replicas keep. */
  readonly bounds: ReplicaBounds
  /** The process of another machine that serves. */
  readonly processOf: (nodeId: string) => Running | undefined
}

/** A process that serves. */
export interface Running {
  readonly node: TidemarkNode
  readonly life: Life
  readonly clock: NodeClock
}

export class Machine {
  readonly id: string
  readonly disk = new SimulatedDisk()
  readonly connection: ConnectionFaults = noFaults()
  /** Why processes stopped that nobody stopped. */
  readonly deaths: string[] = []
  /** The process says that its disk is damaged, where it cannot help itself. */
  complains = false
  running: Running | undefined
  /** Whether it shall run. */
  wanted = false
  readonly #options: MachineOptions
  #life: Life
  #clock: NodeClock
  #starts = 0

  constructor(options: MachineOptions) {
    this.#options = options
    this.id = options.id
    this.#life = newLife(`${options.id}#0`)
    this.#life.alive = false
    this.#clock = new NodeClock(options.world, this.#life)
  }

  get clock(): NodeClock {
    return this.#clock
  }

  get alive(): boolean {
    return this.#life.alive
  }

  get paused(): boolean {
    return this.#life.alive && this.#life.paused
  }

  owns(life: Life): boolean {
    return life === this.#life
  }

  // ---- starting ----

  start(): void {
    this.wanted = true
    if (this.#life.alive) return
    const { world, kafka, group, partitions, replication, bounds, processOf } = this.#options
    const life = newLife(`${this.id}#${++this.#starts}`)
    this.#life = life
    this.complains = false
    this.#clock = new NodeClock(world, life, this.#clock.now())
    const random = world.random(`names of ${life.name}`)
    const clock = this.#clock
    world.note(`${life.name} starts`)
    const store = this.disk.open(life)
    const telemetry = this.#telemetry(life)
    const opened = openNode({
      cluster: CLUSTER,
      nodeId: this.id,
      zone: '',
      log: openSimulatedLog(kafka, new Connection(world, life, this.connection)),
      logKind: 'memory',
      store,
      membership: group.member(this.id, life),
      clock,
      random: { id: (bytes) => random.bytes(bytes).toString('base64url') },
      telemetry,
      partitions,
      replication,
      dev: false,
      spareMs: 2000,
      bounds,
      bootstrap: bootstrapFrom({
        cluster: CLUSTER,
        logIdentity: kafka.identity,
        store,
        offers: offersOf(world, life, processOf),
        telemetry,
        rest: () => clock.sleep(0),
      }),
    })
    opened.then(
      (node) => {
        if (!life.alive) return
        world.note(`${life.name} serves`)
        this.running = { node, life, clock }
        node.join(`${this.id}:7400`)
      },
      (caught: unknown) => {
        if (life.alive) this.#failed(TidemarkError.from(caught))
      },
    )
  }

  /** What does not start is started again, as a supervisor does; a disk that cannot be read is replaced by an operator. */
  #failed(error: TidemarkError): void {
    const { world } = this.#options
    world.note(`${this.#life.name} cannot start: ${error.reason} ${error.message}`)
    if (error.reason === 'INTERNAL') throw error
    if (error.reason === 'STORE_CORRUPT') this.disk.wipe()
    this.#life.alive = false
    this.running = undefined
    this.#startAgain(RESTART_MS)
  }

  #startAgain(afterMs: number): void {
    this.#options.world.after(undefined, afterMs, () => {
      if (this.wanted) this.start()
    })
  }

  // ---- stopping ----

  /** As with SIGKILL. @param restartMs - until it is started again; undefined: it stays down */
  kill(restartMs: number | undefined, sessionMs: number): void {
    if (!this.#life.alive) return
    const { world, group } = this.#options
    world.note(`${this.#life.name} dies`)
    this.#life.alive = false
    this.running = undefined
    group.cut(this.id)
    const incarnation = group.incarnationOf(this.id)
    world.after(undefined, sessionMs, () => {
      group.evict(this.id, incarnation)
    })
    if (restartMs === undefined) this.wanted = false
    else this.#startAgain(restartMs)
  }

  /** The process threw where nobody catches: it is gone, and its supervisor starts it again. */
  crashed(cause: unknown): void {
    const { stack, message } = cause instanceof Error ? cause : new Error(String(cause))
    this.deaths.push(stack ?? message)
    this.#options.world.note(`${this.#life.name} threw: ${message}`)
    this.kill(RESTART_MS, RESTART_MS)
  }

  /** As with SIGTERM: it hands over, then closes. */
  async stop(): Promise<void> {
    const { running } = this
    if (running === undefined || !this.#life.alive) return
    const { world } = this.#options
    const { node, life, clock } = running
    this.wanted = false
    world.note(`${life.name} stops`)
    const end = clock.now() + STOP_MS
    await node.drain(end)
    this.running = undefined
    await node.close(end)
    life.alive = false
    world.note(`${life.name} has stopped`)
    if (this.#isWanted()) this.start()
  }

  /** Somebody wants it again meanwhile. */
  #isWanted(): boolean {
    return this.wanted
  }

  pause(): void {
    if (!this.#life.alive) return
    this.#options.world.note(`${this.#life.name} stands still`)
    this.#options.world.pause(this.#life)
  }

  resume(): void {
    if (!this.paused) return
    this.#options.world.note(`${this.#life.name} goes on`)
    this.#options.world.resume(this.#life)
  }

  /** The group takes it for dead. */
  expire(): void {
    this.#options.group.evict(this.id, this.#options.group.incarnationOf(this.id))
  }

  #telemetry(life: Life): Telemetry {
    const { world } = this.#options
    const tell = (line: string): void => {
      if (life.alive) world.note(`${life.name} ${line}`)
    }
    return {
      meters: newMeters(),
      stopped: (keyspace, partition, { reason, message }) => {
        tell(`stops ${keyspace}/${partition}: ${reason} ${message}`)
      },
      trouble: (sentence) => {
        if (life.alive && sentence.includes(DAMAGE)) this.complains = true
        tell(`trouble: ${sentence}`)
      },
      recovered: (sentence) => {
        tell(`recovered: ${sentence}`)
      },
    }
  }
}
