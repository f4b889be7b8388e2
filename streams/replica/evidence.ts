/**
 * What a replica can show of itself, so that others can be held against it: its chain at the checkpoints and at the last marks, and
 * the hash of what it held at the last barrier that asked for one. The log says when: all replicas stand at one offset then. The
 * hash is made in the background, slowly, from a cursor that was opened at that offset.
 */
import type { Command } from '../core/command.ts'
import type { Checkpoint } from '../core/control-messages.ts'
import type { RecordEffects } from '../core/effects.ts'
import { TidemarkError } from '../core/errors.ts'
import type { Prefix } from '../core/keys.ts'
import { CONTENTS_REMEMBERED_MAX, MARKS_REMEMBERED_MAX } from '../core/limits.ts'
import type { PartitionState } from '../core/state.ts'
import type { Offset } from '../core/types.ts'
import type { Store } from '../store/store.ts'
import { ContentHasher } from './content.ts'
import type { Content } from './content.ts'

/** Who looks into what a replica shows; the node is it. */
export interface Witness {
  /** A mark has another chain at this checkpoint than the replica. */
  differs(at: Offset): void
  hashed(content: Content): void
  /** What the replica holds cannot be read. */
  failed(error: TidemarkError): void
  /** Resolves when so much more may be hashed. */
  pace(units: number): Promise<void>
}

export interface Hashing {
  readonly at: Offset
  /** Entries that were hashed. */
  readonly entries: number
  /** Undefined while it is being made. */
  readonly content: Content | undefined
}

interface Held {
  readonly store: Store
  readonly prefix: Prefix
  readonly tombstoneRecords: number
}

export class Evidence {
  readonly #held: Held
  readonly #witness: Witness | undefined
  #marks: readonly Checkpoint[] = []
  #hasher: { readonly at: Offset; readonly hasher: ContentHasher } | undefined
  /** The last ones, the newest last. */
  #contents: readonly { readonly content: Content; readonly entries: number }[] = []
  #working: Promise<void> = Promise.resolve()
  #closed = false

  constructor(held: Held, witness: Witness | undefined) {
    this.#held = held
    this.#witness = witness
  }

  /** Whether the record asks for a hash, so that a batch must end with it. What is replayed from long ago is compared with nobody. */
  wants(command: Command | undefined, live: boolean): boolean {
    return command?.kind === 'barrier' && command.proof === true && live && this.#isFree
  }

  /** What was applied; in the turn in which it was written, so that the store stands at `state`. */
  take(
    state: Readonly<PartitionState>,
    commands: readonly Command[],
    effects: readonly RecordEffects[],
    live: boolean,
  ): void {
    for (const command of commands) if (command.kind === 'mark') this.#remember(state, command.checkpoint.at)
    if (this.wants(commands.at(-1), live)) this.#begin(state)
    const diverged = effects.find((done) => done.diverged !== undefined)?.diverged
    // The mark of a leader proves nothing by itself: the leader may be the one that is wrong.
    if (diverged !== undefined && live) this.#witness?.differs(diverged)
  }

  #remember(state: Readonly<PartitionState>, at: Offset): void {
    const own = state.checkpoints.find((checkpoint) => checkpoint.at === at)
    if (own !== undefined) this.#marks = [...this.#marks.slice(1 - MARKS_REMEMBERED_MAX), own]
  }

  /** The chain wherever it is remembered. */
  chains(state: Readonly<PartitionState>): readonly Checkpoint[] {
    const known = new Map([...this.#marks, ...state.checkpoints].map((one) => [one.at, one]))
    return [...known.values()]
  }

  /** The hashes that are remembered, and the one that is being made. */
  get hashings(): readonly Hashing[] {
    const open = this.#hasher
    return [
      ...this.#contents.map(({ content, entries }) => ({ at: content.at, entries, content })),
      ...(open === undefined ? [] : [{ at: open.at, entries: open.hasher.entries, content: undefined }]),
    ]
  }

  get #isFree(): boolean {
    return this.#witness !== undefined && this.#hasher === undefined && !this.#closed
  }

  #begin({ next: at, rows }: Readonly<PartitionState>): void {
    if (this.#witness === undefined) return
    const hasher = new ContentHasher({ ...this.#held, next: at, rows })
    this.#hasher = { at, hasher }
    this.#working = this.#work(hasher, this.#witness)
  }

  async #work(hasher: ContentHasher, witness: Witness): Promise<void> {
    let content: Content | undefined
    try {
      // Applying goes on first.
      await witness.pace(0)
      for (let units = 1; units > 0 && !this.#closed;) {
        units = hasher.step()
        if (units > 0) await witness.pace(units)
        else content = hasher.finish()
      }
    } catch (caught) {
      const error = TidemarkError.from(caught)
      if (!this.#closed) witness.failed(error)
    } finally {
      hasher.close()
      if (content !== undefined)
        this.#contents = [
          ...this.#contents.slice(1 - CONTENTS_REMEMBERED_MAX),
          { content, entries: hasher.entries },
        ]
      this.#hasher = undefined
    }
    if (content !== undefined && !this.#closed) witness.hashed(content)
  }

  /** Before the store is closed. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#working
  }
}
