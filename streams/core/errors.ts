/** The one error class. What can be said with it stands in catalogue.ts. */
import { MALFORMED } from './bytes.ts'
import { CATALOGUE } from './catalogue.ts'
import type { Reason } from './catalogue.ts'

export { CATALOGUE, isReason } from './catalogue.ts'
export type { CatalogueRow, GrpcCode, Reason } from './catalogue.ts'

/** The one error class: a closed reason, a sentence for people, and the values that it talks about for programs. */
export class TidemarkError extends Error {
  override readonly name = 'TidemarkError'
  readonly reason: Reason
  /** Facts for programs: the limit, the field, the earliest position … Strings only, as `ErrorInfo.metadata` is. */
  readonly metadata: Readonly<Record<string, string>>

  constructor(
    reason: Reason,
    message: string,
    options: { readonly metadata?: Readonly<Record<string, string>>; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.reason = reason
    this.metadata = options.metadata ?? {}
  }

  get retriable(): boolean {
    return CATALOGUE[this.reason].retriable
  }

  /** Whatever was caught, as a TidemarkError; what is none becomes INTERNAL with the original as cause. */
  static from(caught: unknown): TidemarkError {
    if (caught instanceof TidemarkError) return caught
    // Bytes of strangers are read in decode.ts, which catches it: what comes this far was read from a store.
    if (caught === MALFORMED)
      return new TidemarkError('STORE_CORRUPT', 'what is stored is not what was written', { cause: caught })
    const message = caught instanceof Error ? caught.message : String(caught)
    return new TidemarkError('INTERNAL', message, { cause: caught })
  }
}
