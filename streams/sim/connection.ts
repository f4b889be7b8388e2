/**
 * What lies between one node and the simulated Kafka: how long things take, and what gets lost. One of the doors through which faults
 * come; what stands here is plain numbers, changed by whoever injects.
 */
import type { Prng } from '../core/testing/prng.ts'
import type { Life, World } from './world.ts'

export interface ConnectionFaults {
  /** Nothing gets through. */
  cut: boolean
  /** Milliseconds that each way takes, at least and at most. */
  delayMs: readonly [number, number]
  /** Of a hundred: requests that never arrive, and answers that never do. */
  requestsLost: number
  answersLost: number
  /** Of a hundred: requests that arrive up to so many milliseconds late, when nobody waits for them any more. */
  requestsLate: number
  lateMs: number
  /** Of a hundred: appends whose producer the broker has forgotten when they are sent again, so that they are appended twice. */
  producersForgotten: number
  /** Of a hundred: rounds that cannot prove an end offset. */
  endsUnproved: number
  /** Milliseconds by which metadata and unproved offsets may be out of date. */
  staleMs: number
  /** Records of one read at most. */
  readRecords: number
}

export const noFaults = (): ConnectionFaults => ({
  cut: false,
  delayMs: [0, 0],
  requestsLost: 0,
  answersLost: 0,
  requestsLate: 0,
  lateMs: 0,
  producersForgotten: 0,
  endsUnproved: 0,
  staleMs: 0,
  readRecords: Infinity,
})

export class Connection {
  readonly faults: ConnectionFaults
  readonly random: Prng
  readonly world: World
  readonly life: Life

  constructor(world: World, life: Life, faults: ConnectionFaults) {
    this.world = world
    this.life = life
    this.faults = faults
    this.random = world.random(`connection ${life.name}`)
  }

  delay(): number {
    const [least, most] = this.faults.delayMs
    return least + (this.random.below(1001) / 1000) * (most - least)
  }

  /** Towards the brokers: what is on the wire arrives whether the node lives or not. */
  request(arrive: () => void): void {
    const { faults, random } = this
    if (faults.cut || random.chance(faults.requestsLost)) return
    const late = random.chance(faults.requestsLate) ? random.below(Math.max(1, faults.lateMs)) : 0
    this.world.after(undefined, this.delay() + late, arrive)
  }

  /** Back to the node. */
  answer(arrive: () => void): void {
    const { faults, random } = this
    if (faults.cut || random.chance(faults.answersLost)) return
    this.world.after(this.life, this.delay(), () => {
      if (!faults.cut) arrive()
    })
  }

  /** Resolves with the answer, or with undefined when none came in time. */
  call<T extends object>(
    ask: (answer: (value: T) => void) => void,
    timeoutMs: number,
  ): Promise<T | undefined> {
    return new Promise((resolve) => {
      const stop = this.world.after(this.life, timeoutMs, () => {
        resolve(undefined)
      })
      this.request(() => {
        ask((value) => {
          this.answer(() => {
            stop()
            resolve(value)
          })
        })
      })
    })
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.world.after(this.life, ms, resolve))
  }
}
