/** The watches of one client: some run beside its calls; one that fails goes on from where it was, on whatever node is asked next. */
import type { At, WatchCall } from './history.ts'
import { performWatch, type Asked, type RunningWatch } from './perform.ts'
import type { Recorder } from './recorder.ts'

/** Watches of one client at a time. */
const WATCHES_MAX = 2
/** Times that a watch which failed is taken up again. */
const RESUMED_MAX = 5

interface Followed {
  readonly call: WatchCall
  readonly running: RunningWatch
  readonly resumed: number
}

export class Watching {
  readonly #recorder: Recorder
  /** A node that could serve it now. */
  readonly #ask: () => Asked | undefined
  readonly #ended: (positions: readonly At[]) => void
  readonly #followed: Followed[] = []

  constructor(recorder: Recorder, ask: () => Asked | undefined, ended: (positions: readonly At[]) => void) {
    this.#recorder = recorder
    this.#ask = ask
    this.#ended = ended
  }

  start(call: WatchCall, resumed = 0): void {
    const asked = this.#ask()
    if (asked === undefined) return
    if (this.#followed.length >= WATCHES_MAX) this.#leave(this.#followed.shift())
    const running = performWatch(this.#recorder, asked, call)
    const followed = { call, running, resumed }
    this.#followed.push(followed)
    void running.ended.then(({ status }) => {
      this.#ended(running.positions)
      const at = this.#followed.indexOf(followed)
      if (at < 0) return
      this.#followed.splice(at, 1)
      if (status === 'failed') this.#again(followed)
    })
  }

  /** As a client does that lost its connections: every watch goes on from where it was. */
  cut(): void {
    for (const followed of this.#followed.splice(0)) {
      this.#leave(followed)
      this.#again(followed)
    }
  }

  end(): void {
    for (const followed of this.#followed.splice(0)) this.#leave(followed)
  }

  #again({ call, running: { positions }, resumed }: Followed): void {
    if (resumed >= RESUMED_MAX || positions.length === 0) return
    this.start({ ...call, initialRows: false, resume: positions }, resumed + 1)
  }

  #leave(followed: Followed | undefined): void {
    // A node that died never answers.
    void followed?.running.leave()
  }
}
