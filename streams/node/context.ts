/** What the parts of one node share. */
import type { BehaviorSubject } from 'rxjs'
import type { Appender } from '../log/appender.ts'
import type { Writer } from '../replica/writer.ts'
import type { Equality } from './equality.ts'
import type { NodeOptions } from './options.ts'
import type { Turns } from './turns.ts'

export interface NodeContext {
  readonly options: NodeOptions
  /** Another for each start of the node. */
  readonly incarnation: string
  readonly appender: Appender
  readonly writer: Writer
  /** True once the node takes no new work. */
  readonly draining$: BehaviorSubject<boolean>
  /** Watchers of the whole node, and scans of the past. */
  readonly watchers: { count: number }
  readonly pasts: { count: number }
  /** For replicas that are built from a long log. */
  readonly builds: Turns
  /** Looks into replicas that may be wrong. */
  readonly equality: Equality
  /** Resolves when so much more may be hashed, over all replicas of the node. */
  readonly hashing: (units: number) => Promise<void>
  /** Something happened that the other members should hear of. */
  readonly changed: () => void
  /** Tells them now. */
  readonly announce: () => void
}
