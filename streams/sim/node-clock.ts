/** The clock of one simulated process: it may run fast or slow, and be set. What it measures and waits for is not moved when it is set. */
import type { Clock } from '../ports.ts'
import type { Life, World } from './world.ts'

export class NodeClock implements Clock {
  readonly #world: World
  readonly #life: Life
  /** Since when it runs at its rate, what it said then, and what had elapsed. */
  #from: number
  #said: number
  #had = 0
  #rate = 1

  /** @param said - what it says now; the clock of a machine outlives its processes */
  constructor(world: World, life: Life, said: number = world.now) {
    this.#world = world
    this.#life = life
    this.#from = world.now
    this.#said = said
  }

  now(): number {
    return Math.floor(this.#exactly())
  }

  #exactly(): number {
    return this.#said + this.#since()
  }

  elapsed(): number {
    return this.#had + this.#since()
  }

  #since(): number {
    return (this.#world.now - this.#from) * this.#rate
  }

  /** Somebody sets the clock. */
  jump(ms: number): void {
    this.#said += ms
  }

  /** @param rate - 1 = as the world */
  drift(rate: number): void {
    const since = this.#since()
    this.#said += since
    this.#had += since
    this.#from = this.#world.now
    this.#rate = rate
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#world.after(this.#life, ms / this.#rate, resolve))
  }

  every(ms: number, callback: () => void): () => void {
    let cancel = (): void => undefined
    let stopped = false
    const next = (): void => {
      cancel = this.#world.after(this.#life, ms / this.#rate, () => {
        if (stopped) return
        next()
        callback()
      })
    }
    next()
    return () => {
      stopped = true
      cancel()
    }
  }
}
