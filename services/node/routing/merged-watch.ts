/**
 * Watches of several nodes as one, each of them over some of the partitions. A part that breaks goes on at another replica from
 * the last position that it told, and who pulls notices nothing: so a watch outlives the nodes behind this one.
 *
 *   initial rows   of all parts, then one `initial-end`; a part that is done with its own waits for the others
 *   live           whatever comes; a `progress` mark once every part has said something since the last one
 *   a delta        of one part keeps the others waiting, so that nothing stands between its two marks
 *
 * Initial rows and deltas have no place inside them to go on from: a part that breaks in one ends the watch, and its owner
 * begins again with the last token. In memory it holds at most one message of each part.
 */
import { TidemarkError } from '../../../streams/core/errors.ts'
import { WATCH_RESUME_MS } from '../../../streams/core/limits.ts'
import type { Partition, Position } from '../../../streams/core/types.ts'
import type { Watch, WatchMessage, WatchOptions } from '../../../streams/face.ts'
import { type Answered, answersElsewhere } from './failover.ts'

/** Opens parts that together follow these partitions; a part for each node. */
export type OpenParts = (
  partitions: readonly Partition[],
  options: WatchOptions,
  deadline: number,
  tried: readonly string[],
) => Promise<Answered<Watch>[]>

interface Part {
  readonly partitions: readonly Partition[]
  readonly nodeId: string
  readonly watch: Watch
  phase: 'initial' | 'delta' | 'live'
  /** Of the message handed on last. */
  positions: readonly Position[]
  /** It has handed on something. */
  begun: boolean
  /** It has said something since the last progress mark that was handed on. */
  heard: boolean
  /** It is pulled, or looks for another node. */
  busy: boolean
  message: WatchMessage | undefined
}

/** @throws at once what the nodes refuse it with */
export async function mergeWatches(
  options: WatchOptions,
  partitions: readonly Partition[],
  open: OpenParts,
): Promise<Watch> {
  const merged = new MergedWatch(options, open)
  await merged.start(partitions)
  return merged
}

class MergedWatch implements Watch {
  readonly #options: WatchOptions
  readonly #open: OpenParts
  readonly #parts = new Set<Part>()
  #failure: TidemarkError | undefined
  #over = false
  #wake: () => void = () => undefined

  constructor(options: WatchOptions, open: OpenParts) {
    this.#options = options
    this.#open = open
  }

  async start(partitions: readonly Partition[]): Promise<void> {
    await this.#begin(partitions, this.#options, [], this.#options.resume?.positions ?? [])
  }

  async next(): Promise<IteratorResult<WatchMessage, undefined>> {
    for (;;) {
      if (this.#over) return { done: true, value: undefined }
      if (this.#failure !== undefined) {
        this.#end()
        throw this.#failure
      }
      const message = this.#take()
      if (message !== undefined) return { done: false, value: message }
      const woken = new Promise<void>((resolve) => (this.#wake = resolve))
      for (const part of this.#speaking()) if (!part.busy && part.message === undefined) void this.#pull(part)
      await woken
    }
  }

  return(): Promise<IteratorResult<WatchMessage, undefined>> {
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #end(): void {
    this.#over = true
    for (const { watch } of this.#parts) leave(watch)
    this.#wake()
  }

  /** The parts whose turn it is. */
  #speaking(): readonly Part[] {
    const parts = [...this.#parts]
    for (const phase of ['initial', 'delta'] as const) {
      const some = parts.filter((part) => part.phase === phase)
      if (some.length > 0) return phase === 'delta' ? some.slice(0, 1) : some
    }
    return parts
  }

  /** The next message to hand on, of those that have come. */
  #take(): WatchMessage | undefined {
    for (let came = this.#came(); came !== undefined; came = this.#came()) {
      const message = came.message
      came.message = undefined
      const handed = message === undefined ? undefined : this.#handOn(came, message)
      if (handed !== undefined) return handed
    }
    return undefined
  }

  #came(): Part | undefined {
    const part = this.#speaking().find(({ message }) => message !== undefined)
    // Behind the others: a part that always has something must not starve them.
    if (part !== undefined && this.#parts.delete(part)) this.#parts.add(part)
    return part
  }

  #handOn(part: Part, { mark, events, positions }: WatchMessage): WatchMessage | undefined {
    const { phase } = part
    part.positions = positions
    part.begun = true
    part.heard = true
    if (mark === 'delta-begin') part.phase = 'delta'
    if (mark === 'initial-end') part.phase = 'live'
    const parts = [...this.#parts]
    const initial = parts.some((each) => each.phase === 'initial')
    if (mark === 'initial-end' && phase === 'initial' && initial) return undefined
    if (mark === 'progress') {
      if (!parts.every(({ heard }) => heard)) return undefined
      for (const each of parts) each.heard = false
    }
    // As with one node: who breaks off inside the initial rows has nothing to go on from.
    return { mark, events, positions: initial ? [] : parts.flatMap((each) => each.positions) }
  }

  async #pull(part: Part): Promise<void> {
    part.busy = true
    try {
      const result = await part.watch.next()
      if (result.done === true)
        throw new TidemarkError('NODE_UNREACHABLE', `node ${part.nodeId} ended the watch`)
      part.message = result.value
    } catch (caught) {
      await this.#lost(part, TidemarkError.from(caught))
    } finally {
      part.busy = false
      this.#wake()
    }
  }

  /** Goes on at another replica, unless that cannot be done unnoticed. */
  async #lost(part: Part, failure: TidemarkError): Promise<void> {
    if (this.#over) return
    if (!answersElsewhere(failure, { own: false }, true)) {
      this.#failure = failure
      return
    }
    if (part.phase === 'delta' || (part.phase === 'initial' && part.begun)) {
      const message = `node ${part.nodeId} was lost in the middle of its rows (${failure.message}): watch again`
      this.#failure = new TidemarkError('NODE_UNREACHABLE', message, { cause: failure })
      return
    }
    const { partitions, positions, phase, nodeId } = part
    const options: WatchOptions =
      phase === 'initial'
        ? this.#options
        : { ...this.#options, initialRows: false, resume: { logIdentity: '', positions } }
    try {
      await this.#begin(partitions, options, [nodeId], positions, part)
    } catch (caught) {
      this.#failure = TidemarkError.from(caught)
    }
  }

  async #begin(
    partitions: readonly Partition[],
    options: WatchOptions,
    tried: readonly string[],
    positions: readonly Position[],
    instead?: Part,
  ): Promise<void> {
    const opened = await this.#open(partitions, options, Date.now() + WATCH_RESUME_MS, tried)
    if (instead !== undefined) this.#parts.delete(instead)
    for (const { place, partitions: some, answer: watch } of opened) {
      if (this.#over) leave(watch)
      else
        this.#parts.add({
          partitions: some,
          nodeId: place.nodeId,
          watch,
          phase: options.initialRows === true ? 'initial' : 'live',
          positions: positions.filter(({ partition }) => some.includes(partition)),
          begun: false,
          heard: false,
          busy: false,
          message: undefined,
        })
    }
  }
}

/** What it still has to say, and how it ends, is nobody's business any more. */
function leave(watch: Watch): void {
  watch.return?.().catch(() => undefined)
}
