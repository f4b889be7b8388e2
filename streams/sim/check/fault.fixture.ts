/** A way to make good histories bad. */
import type { History } from '../history.ts'
import type { CheckerName } from './check.ts'
import type { Histories } from './derive.fixture.ts'

/** `caughtBy` must all report it; `also` may; every other checker must be silent. */
export interface Fault {
  readonly name: string
  readonly caughtBy: readonly CheckerName[]
  readonly also: readonly CheckerName[]
  readonly make: (history: History) => Histories
}

export const fault = (
  name: string,
  caughtBy: readonly CheckerName[],
  also: readonly CheckerName[],
  make: (history: History) => Histories,
): Fault => ({ name, caughtBy, also, make })
