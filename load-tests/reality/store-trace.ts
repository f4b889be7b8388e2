/** Random calls of the Store port, and what came of each as text: the same on the simulated disk and on RocksDB. */
import fc from 'fast-check'
import { TidemarkError } from '../../streams/core/errors.ts'
import type { Cursor, Entry, Range, Store } from '../../streams/store/store.ts'

/** Keys and values are hexadecimal text. */
type Hex = string

export type StoreCall =
  /** A value of null deletes. */
  | {
      readonly kind: 'write'
      readonly changes: readonly (readonly [Hex, Hex | null])[]
      readonly sync: boolean
    }
  | { readonly kind: 'get'; readonly keys: readonly Hex[]; readonly elsewhere: boolean }
  | { readonly kind: 'drop'; readonly gte: Hex; readonly lt: Hex }
  | {
      readonly kind: 'open-cursor'
      readonly slot: number
      readonly gte: Hex
      readonly lt: Hex
      readonly reverse: boolean
      readonly values: boolean
    }
  | { readonly kind: 'next'; readonly slot: number; readonly rows: number }
  | { readonly kind: 'rewind'; readonly slot: number }
  | { readonly kind: 'close-cursor'; readonly slot: number }
  /** Closed and opened again; or the process was killed; or the machine lost power. */
  | { readonly kind: 'reopen' | 'kill' | 'power-loss' }

/** A store, and what lies below it. */
export interface StoreSide {
  readonly store: Store
  reopen(): Promise<void>
  kill(): Promise<void>
  /** The disk loses the end of what was not synced: as much of it as it likes, or that which leaves `left` as the newest mark. */
  losePower(left: number | undefined): Promise<void>
}

/** Every batch leaves its number here: what is lost of them can be told. */
const MARK = Buffer.from('mark')

const byte = fc.constantFrom('00', '01', '61', '62', '7f', '80', 'fe', 'ff')
const key = fc.array(byte, { minLength: 1, maxLength: 3 }).map((some) => some.join(''))
const value = fc.oneof(
  { weight: 8, arbitrary: fc.array(byte, { maxLength: 6 }).map((some) => some.join('')) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 3000 }).map((count) => '7a'.repeat(count)) },
)
const slot = fc.nat(2)
const kind = <K extends StoreCall['kind']>(name: K): fc.Arbitrary<K> => fc.constant(name)
const often = (weight: number, arbitrary: fc.Arbitrary<StoreCall>) => ({ weight, arbitrary })

export const storeCalls: fc.Arbitrary<readonly StoreCall[]> = fc.array(
  fc.oneof(
    often(
      30,
      fc.record({
        kind: kind('write'),
        changes: fc.array(fc.tuple(key, fc.option(value, { freq: 3 })), { maxLength: 8 }),
        sync: fc.boolean(),
      }),
    ),
    often(
      14,
      fc.record({ kind: kind('get'), keys: fc.array(key, { maxLength: 5 }), elsewhere: fc.boolean() }),
    ),
    often(4, fc.record({ kind: kind('drop'), gte: key, lt: key })),
    often(
      12,
      fc.record({
        kind: kind('open-cursor'),
        slot,
        gte: key,
        lt: key,
        reverse: fc.boolean(),
        values: fc.boolean(),
      }),
    ),
    often(20, fc.record({ kind: kind('next'), slot, rows: fc.integer({ min: 1, max: 6 }) })),
    often(4, fc.record({ kind: kind('rewind'), slot })),
    often(2, fc.record({ kind: kind('close-cursor'), slot })),
    often(1, fc.record({ kind: fc.constantFrom('reopen' as const, 'kill' as const, 'power-loss' as const) })),
  ),
  { minLength: 1, maxLength: 150, size: 'max' },
)

export interface StoreTrace {
  readonly lines: readonly string[]
  /** The newest mark that stood after each loss of power. */
  readonly left: readonly number[]
}

/** @param left - what shall be left after each loss of power; undefined: whatever is */
export async function traceStore(
  side: StoreSide,
  calls: readonly StoreCall[],
  left?: readonly number[],
): Promise<StoreTrace> {
  const run = new StoreRun(side, left)
  const lines: string[] = []
  for (const call of calls) lines.push(`${call.kind}: ${await run.make(call)}`)
  lines.push(`all: ${run.all()}`)
  return { lines, left: run.left }
}

interface OpenCursor {
  readonly cursor: Cursor
  readonly reverse: boolean
  readonly isEmpty: boolean
}

class StoreRun {
  readonly left: number[] = []
  readonly #side: StoreSide
  readonly #wanted: readonly number[] | undefined
  readonly #cursors = new Map<number, OpenCursor>()
  #marks = 0

  constructor(side: StoreSide, wanted: readonly number[] | undefined) {
    this.#side = side
    this.#wanted = wanted
  }

  async make(call: StoreCall): Promise<string> {
    try {
      return await this.#make(call)
    } catch (caught) {
      const { reason, message } = TidemarkError.from(caught)
      return reason === 'INTERNAL' ? `${reason} ${message}` : reason
    }
  }

  all(): string {
    const cursor = this.#side.store.cursor({ gte: Buffer.alloc(0), lt: Buffer.alloc(8, 255) })
    const entries: Entry[] = []
    for (let some = cursor.next(7); some.length > 0; some = cursor.next(7)) entries.push(...some)
    cursor.close()
    return shown(entries)
  }

  async #make(call: StoreCall): Promise<string> {
    const { store } = this.#side
    switch (call.kind) {
      case 'write': {
        const batch = store.batch()
        for (const [one, to] of call.changes)
          if (to === null) batch.delete(bytes(one))
          else batch.put(bytes(one), bytes(to))
        const { size } = batch
        this.#mark(batch)
        store.write(batch, { sync: call.sync })
        return `${size} changes`
      }
      case 'get': {
        const keys = call.keys.map(bytes)
        const found = call.elsewhere ? await store.getManyAsync(keys) : store.getMany(keys)
        return found.map((one) => (one === undefined ? '-' : hex(one))).join()
      }
      case 'drop':
        store.drop(rangeOf(call))
        // A batch behind it: so what is lost of the end can be told.
        store.write(this.#mark(store.batch()))
        return 'dropped'
      case 'open-cursor': {
        this.#cursors.get(call.slot)?.cursor.close()
        const { reverse, values } = call
        this.#cursors.set(call.slot, {
          cursor: store.cursor({ ...rangeOf(call), reverse, values }),
          reverse,
          isEmpty: call.gte >= call.lt,
        })
        return 'open'
      }
      case 'next': {
        const found = this.#cursors.get(call.slot)
        return found === undefined ? 'none' : shown(found.cursor.next(call.rows))
      }
      case 'rewind': {
        const found = this.#cursors.get(call.slot)
        if (found === undefined || found.reverse) return 'none'
        found.cursor.rewind()
        return 'at its begin'
      }
      case 'close-cursor': {
        const found = this.#cursors.get(call.slot)
        found?.cursor.close()
        // There is nothing to close (`empty-cursor`).
        if (found?.isEmpty === true) this.#cursors.delete(call.slot)
        return 'closed'
      }
      case 'reopen':
        this.#closeCursors()
        await this.#side.reopen()
        return this.all()
      case 'kill':
        this.#closeCursors()
        await this.#side.kill()
        return this.all()
      case 'power-loss': {
        this.#closeCursors()
        await this.#side.losePower(this.#wanted?.[this.left.length])
        const [mark] = this.#side.store.getMany([MARK])
        this.#marks = mark === undefined ? 0 : Buffer.from(mark).readUInt32BE()
        this.left.push(this.#marks)
        return `${this.#marks} left: ${this.all()}`
      }
    }
  }

  #mark(batch: ReturnType<Store['batch']>): ReturnType<Store['batch']> {
    this.#marks += 1
    const mark = Buffer.alloc(4)
    mark.writeUInt32BE(this.#marks)
    batch.put(MARK, mark)
    return batch
  }

  #closeCursors(): void {
    for (const { cursor } of this.#cursors.values()) cursor.close()
    this.#cursors.clear()
  }
}

const bytes = (text: Hex): Buffer => Buffer.from(text, 'hex')
const hex = (some: Uint8Array): Hex => {
  const text = Buffer.from(some).toString('hex')
  return text.length > 40 ? `${text.slice(0, 20)}…${text.length / 2}` : text
}

const rangeOf = ({ gte, lt }: { readonly gte: Hex; readonly lt: Hex }): Range => ({
  gte: bytes(gte),
  lt: bytes(lt),
})

const shown = (entries: readonly Entry[]): string =>
  entries.map(({ key: one, value: to }) => `${hex(one)}=${hex(to)}`).join()
