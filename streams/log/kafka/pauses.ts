/** Pauses before something is tried again; any number at a time, and all end when the log is closed. */
export interface Pauses {
  pause(milliseconds: number): Promise<void>
  /** Ends all, and from now on none lasts. */
  end(): void
}

export function createPauses(): Pauses {
  const pending = new Set<() => void>()
  let ended = false
  return {
    pause: (milliseconds) =>
      new Promise((resolve) => {
        const timer = setTimeout(pass, ended ? 0 : milliseconds)
        function pass(): void {
          clearTimeout(timer)
          pending.delete(pass)
          resolve()
        }
        pending.add(pass)
      }),
    end() {
      ended = true
      for (const pass of [...pending]) pass()
    },
  }
}
