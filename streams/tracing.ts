/**
 * What follows single writes on the way of the data. It is there only where somebody asked for traces, and looks only at writes whose W3C
 * trace context says `sampled`: all others cost it nothing. Its methods are synchronous and throw nothing.
 */
import type { Command } from './core/command.ts'
import type { RecordEffects } from './core/effects.ts'
import type { TidemarkError } from './core/errors.ts'
import type { LogRecord, Partition } from './core/types.ts'
import type { Append, Appended } from './log/log.ts'

export interface Tracing {
  /** Records go to the log. @returns who is told how that ended; undefined where none of them carries a sampled write */
  sending(parts: readonly Append[]): Sending | undefined
  /** Records are in the store of a replica. */
  applied(replica: AppliedOn, records: readonly LogRecord[], run: AppliedRecords): void
}

export type Sending = (result: readonly Appended[] | TidemarkError) => void

export interface AppliedOn {
  readonly keyspace: string
  readonly topic: string
  readonly state: { readonly partition: Partition }
}

export interface AppliedRecords {
  /** One for each record. */
  readonly commands: readonly Command[]
  /** Of the first of the commands, as many as were applied. */
  readonly effects: readonly RecordEffects[]
  /** False while the replica is built again: what it applies then was applied before. */
  readonly live: boolean
  readonly seconds: number
}

/** Where the flags of a W3C trace context begin: `00-<32 of trace id>-<16 of span id>-<flags>`, in hexadecimal. */
const FLAGS_AT = 53

/** Whether the first flag of a trace context is set. @param traceparent - a well-formed one */
export const isSampled = (traceparent: string): boolean =>
  (Number.parseInt(traceparent.slice(FLAGS_AT), 16) & 1) === 1
