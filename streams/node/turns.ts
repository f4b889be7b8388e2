/** Turns for work of which only so much may go on at a time. First come, first served. */
export class Turns {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  /**
   * Resolves when it is the caller's turn, with what ends it; calling that again does nothing. Once the signal is aborted nobody
   * waits: it resolves at once, without a turn.
   */
  async take(signal: AbortSignal): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1
    else if (signal.aborted || !(await this.#wait(signal))) return () => undefined
    let mine = true
    return () => {
      if (!mine) return
      mine = false
      const [next] = this.#waiting
      if (next === undefined) this.#free += 1
      else next()
    }
  }

  /** @returns false when the signal was aborted first */
  #wait(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (turn: boolean): void => {
        this.#waiting.delete(begin)
        signal.removeEventListener('abort', give)
        resolve(turn)
      }
      const begin = (): void => {
        end(true)
      }
      const give = (): void => {
        end(false)
      }
      this.#waiting.add(begin)
      signal.addEventListener('abort', give)
    })
  }
}
