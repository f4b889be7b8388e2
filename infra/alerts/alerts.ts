/** All alerts, by group. */
import type { Alert } from './alert.ts'
import { AVAILABILITY } from './availability.ts'
import { LOG, PROCESS, STORE } from './log-and-store.ts'
import { REPLICATION } from './replication.ts'

export const ALERTS: Readonly<Record<string, readonly Alert[]>> = {
  availability: AVAILABILITY,
  replication: REPLICATION,
  log: LOG,
  store: STORE,
  process: PROCESS,
}

export const ALL_ALERTS: readonly Alert[] = Object.values(ALERTS).flat()

/** `TidemarkNodeDown` is `node-down`: the name of its page in infra/runbooks. */
export const pageOf = (name: string): string =>
  name
    .replace(/^Tidemark/, '')
    .replaceAll(/([a-z])([A-Z])/g, '$1-$2')
    .toLowerCase()
