/**
 * A deadline comes from outside as a date. Whoever waits for it counts by `elapsed()` from the moment when it came: a clock that is set
 * meanwhile neither ends the wait nor prolongs it.
 */
import type { Clock } from './ports.ts'

/** @returns milliseconds until `deadline`, milliseconds since 1970 */
export const left = (clock: Clock, deadline: number): number => deadline - clock.now()

/** @returns when it will have come, on the clock of `elapsed()` */
export const dueAt = (clock: Clock, deadline: number): number => clock.elapsed() + left(clock, deadline)
