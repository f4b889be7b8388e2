/** All checkers over one history. */
import type { History } from '../history.ts'
import { delivery } from './delivery.ts'
import { gather } from './evidence.ts'
import type { Checker, Violation } from './evidence.ts'
import { expiry } from './expiry.ts'
import { linearizable } from './linearizable.ts'
import { lookingBack } from './looking-back.ts'
import { replicas } from './replicas.ts'
import { session } from './session.ts'
import { values } from './values.ts'
import { watches } from './watches.ts'
import { writes } from './writes.ts'

/** What each promises stands at the top of its file. */
export const CHECKERS = {
  delivery,
  writes,
  values,
  linearizable,
  session,
  'looking-back': lookingBack,
  watches,
  expiry,
  replicas,
} as const satisfies Readonly<Record<string, Checker>>

export type CheckerName = keyof typeof CHECKERS

export interface Checked {
  readonly name: CheckerName
  readonly violations: readonly Violation[]
}

export function checkHistory(history: History): readonly Checked[] {
  const evidence = gather(history)
  return Object.entries(CHECKERS).map(([name, check]) => ({
    name: name as CheckerName,
    violations: check(evidence),
  }))
}
