/** Counts what several witnesses say. */
export interface Tally<T> {
  add(name: string, value: T): void
  /** One witness does not know, and why. */
  miss(why: string): void
  /** What most of those said that were heard; of several the first one. */
  readonly winner: T | undefined
  /** More than half of all witnesses agree on it. */
  readonly certain: boolean
  /** Why the last one that missed did. */
  readonly missed: string
}

export function createTally<T>(witnesses: number): Tally<T> {
  const votes = new Map<string, { readonly value: T; readonly count: number }>()
  let missed = 'nobody answers'
  const best = (): { readonly value: T; readonly count: number } | undefined =>
    [...votes.values()].reduce<{ readonly value: T; readonly count: number } | undefined>(
      (most, one) => (most === undefined || one.count > most.count ? one : most),
      undefined,
    )
  return {
    add(name, value) {
      votes.set(name, { value, count: (votes.get(name)?.count ?? 0) + 1 })
    },
    miss(why) {
      missed = why
    },
    get winner() {
      return best()?.value
    },
    get certain() {
      return (best()?.count ?? 0) * 2 > witnesses
    },
    get missed() {
      return missed
    },
  }
}
