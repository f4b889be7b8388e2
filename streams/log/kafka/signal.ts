/** Wakes one waiting loop. Set before the wait begins, the wait returns at once. */
export interface Signal {
  set(): void
  clear(): void
  /** Until it is set, or the time has passed. */
  wait(atMostMs?: number): Promise<void>
  /** Until the time has passed, whatever is set meanwhile. */
  sleep(milliseconds: number): Promise<void>
  /** Ends the wait or sleep, and from now on none lasts. */
  end(): void
}

export function createSignal(): Signal {
  let isSet = false
  let ended = false
  /** One loop waits at a time. */
  let waiting: { readonly wakes: boolean; readonly resolve: () => void } | undefined

  const pass = (): void => {
    const { resolve } = waiting ?? {}
    waiting = undefined
    resolve?.()
  }

  const pause = (milliseconds: number | undefined, wakes: boolean): Promise<void> => {
    if (ended || (wakes && isSet)) return Promise.resolve()
    return new Promise((resolve) => {
      const timer =
        milliseconds === undefined || milliseconds === Infinity ? undefined : setTimeout(pass, milliseconds)
      waiting = {
        wakes,
        resolve() {
          clearTimeout(timer)
          resolve()
        },
      }
    })
  }

  return {
    set() {
      isSet = true
      if (waiting?.wakes === true) pass()
    },
    clear() {
      isSet = false
    },
    wait: (atMostMs) => pause(atMostMs, true),
    sleep: (milliseconds) => pause(milliseconds, false),
    end() {
      ended = true
      pass()
    },
  }
}
