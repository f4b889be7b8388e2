/** What went wrong, as one line for people and an exit code for scripts. */
import { CommanderError } from 'commander'
import { AssertionError } from '../../streams/core/assert.ts'
import { CATALOGUE, TidemarkError } from '../../streams/core/errors.ts'

/** The exit codes are part of the interface: they never change their meaning. */
export const EXIT = {
  OK: 0,
  ERROR: 1,
  USAGE: 2,
  NOT_FOUND: 3,
  CONFLICT: 4,
  UNAVAILABLE: 5,
  DEADLINE: 6,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** A failure that only the command line knows: a missing row, a broken input file. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly exitCode: ExitCode

  constructor(message: string, exitCode: ExitCode = EXIT.ERROR, options?: { readonly cause: unknown }) {
    super(message, options)
    this.exitCode = exitCode
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandFailure) return error.exitCode
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.USAGE
  if (!(error instanceof TidemarkError)) return EXIT.ERROR
  const { grpc, http } = CATALOGUE[error.reason]
  if (grpc === 'INVALID_ARGUMENT') return EXIT.USAGE
  if (http === 404) return EXIT.NOT_FOUND
  if (http === 409) return EXIT.CONFLICT
  if (grpc === 'DEADLINE_EXCEEDED') return EXIT.DEADLINE
  if (grpc === 'UNAVAILABLE' || grpc === 'RESOURCE_EXHAUSTED') return EXIT.UNAVAILABLE
  return EXIT.ERROR
}

/** Empty where it has been said already. */
export function lineOf(error: unknown): string {
  if (error instanceof CommanderError) return ''
  if (error instanceof TidemarkError) {
    const { action } = CATALOGUE[error.reason]
    return `tidemark: ${oneLine(error.message)} (${error.reason}; ${action})`
  }
  if (error instanceof CommandFailure) return `tidemark: ${oneLine(error.message)}`
  if (error instanceof Error && 'syscall' in error) return `tidemark: ${oneLine(error.message)}`
  // A bug: whoever reports it needs the stack.
  if (error instanceof AssertionError || error instanceof Error)
    return `tidemark: ${error.stack ?? error.message}`
  return `tidemark: ${String(error)}`
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim()
