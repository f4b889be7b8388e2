/** What every Store must do. Each implementation runs this suite from its own test. */
import { expect } from 'chai'
import fc from 'fast-check'
import { TidemarkError } from '../core/errors.ts'
import { SCAN_CHUNK_BYTES } from '../core/limits.ts'
import type { Entry, Range, Store } from './store.ts'

export interface StoreHarness {
  /** A new, empty store. The suite closes it. */
  readonly open: () => Promise<Store>
  /** Closes the store and opens the same data again; absent where nothing outlives the object. */
  readonly reopen?: (store: Store) => Promise<Store>
}

const FIRST = new Uint8Array(0)
const LAST = new Uint8Array(8).fill(255)
const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values)
const text = (value: string): Uint8Array => Buffer.from(value)
const key = (n: number): Uint8Array => text(`key-${String(n).padStart(8, '0')}`)
const show = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString()
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')

function put(store: Store, rows: Iterable<readonly [Uint8Array, Uint8Array]>): void {
  const batch = store.batch()
  for (const [rowKey, value] of rows) batch.put(rowKey, value)
  store.write(batch)
}

function scan(store: Store, range: Range, rows = 100): readonly Entry[] {
  const cursor = store.cursor(range)
  const entries: Entry[] = []
  for (;;) {
    const more = cursor.next(rows)
    if (more.length === 0) break
    entries.push(...more)
  }
  cursor.close()
  return entries
}

const reasonOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return error instanceof TidemarkError ? error.reason : String(error)
  }
  return 'no error'
}

export function storeContract(name: string, harness: StoreHarness): void {
  describe(`Store contract: ${name}`, () => {
    let store: Store

    beforeEach(async () => {
      store = await harness.open()
    })

    afterEach(async () => {
      await store.close()
    })

    it('gives back what was put, in the order of the keys asked for, missing and duplicate ones included', async () => {
      put(store, [
        [text('a'), text('1')],
        [text('b'), text('2')],
      ])
      const keys = [text('b'), text('missing'), text('a'), text('b')]
      expect(store.getMany(keys).map(show)).to.deep.equal(['2', undefined, '1', '2'])
      expect((await store.getManyAsync(keys)).map(show)).to.deep.equal(['2', undefined, '1', '2'])
      expect(store.getMany([])).to.deep.equal([])
      expect(await store.getManyAsync([])).to.deep.equal([])
    })

    it('tells an empty value from no value', async () => {
      put(store, [[text('empty'), FIRST]])
      expect(store.getMany([text('empty'), text('none')]).map(show)).to.deep.equal(['', undefined])
      expect((await store.getManyAsync([text('empty')])).map(show)).to.deep.equal([''])
      expect(scan(store, { gte: FIRST, lt: LAST }).map((entry) => entry.value.length)).to.deep.equal([0])
    })

    it('shows nothing of a batch before it is written, and all of it after', () => {
      put(store, [[text('gone'), text('old')]])
      const batch = store.batch()
      batch.put(text('a'), text('1'))
      batch.put(text('b'), text('2'))
      batch.delete(text('gone'))
      expect(batch.size).to.equal(3)
      expect(store.getMany([text('a'), text('b'), text('gone')]).map(show)).to.deep.equal([
        undefined,
        undefined,
        'old',
      ])
      store.write(batch)
      expect(store.getMany([text('a'), text('b'), text('gone')]).map(show)).to.deep.equal([
        '1',
        '2',
        undefined,
      ])
    })

    it('takes the last word on a key inside one batch', () => {
      const batch = store.batch()
      batch.put(text('a'), text('1'))
      batch.delete(text('a'))
      batch.put(text('b'), text('1'))
      batch.put(text('b'), text('2'))
      batch.delete(text('c'))
      batch.put(text('c'), text('3'))
      store.write(batch)
      expect(store.getMany([text('a'), text('b'), text('c')]).map(show)).to.deep.equal([undefined, '2', '3'])
    })

    it('writes a batch once, and an empty batch as nothing', () => {
      store.write(store.batch())
      const batch = store.batch()
      batch.put(text('a'), text('1'))
      store.write(batch)
      expect(() => {
        store.write(batch)
      }).to.throw()
      expect(() => {
        batch.put(text('b'), text('2'))
      }).to.throw()
    })

    it('holds several batches apart that are filled at the same time', () => {
      const first = store.batch()
      const second = store.batch()
      first.put(text('a'), text('first'))
      second.put(text('a'), text('second'))
      second.put(text('b'), text('second'))
      store.write(second)
      store.write(first)
      expect(store.getMany([text('a'), text('b')]).map(show)).to.deep.equal(['first', 'second'])
    })

    it('orders keys as unsigned bytes', () => {
      const keys = [
        bytes(0),
        bytes(0, 0),
        bytes(0, 1),
        bytes(1),
        bytes(0x7f),
        bytes(0x80),
        bytes(0xff),
        bytes(0xff, 0),
      ]
      put(
        store,
        keys.toReversed().map((rowKey) => [rowKey, rowKey] as const),
      )
      expect(scan(store, { gte: FIRST, lt: LAST }).map((entry) => hex(entry.key))).to.deep.equal(
        keys.map(hex),
      )
    })

    it('reads half-open ranges, both ways, with and without values', () => {
      put(
        store,
        Array.from({ length: 10 }, (_, n) => [key(n), text(String(n))] as const),
      )
      const range = { gte: key(3), lt: key(7) }
      expect(scan(store, range).map((entry) => show(entry.value))).to.deep.equal(['3', '4', '5', '6'])
      expect(scan(store, { ...range, reverse: true }).map((entry) => show(entry.value))).to.deep.equal([
        '6',
        '5',
        '4',
        '3',
      ])
      const keysOnly = scan(store, { ...range, values: false })
      expect(keysOnly.map((entry) => show(entry.key))).to.deep.equal([3, 4, 5, 6].map((n) => show(key(n))))
      expect(keysOnly.map((entry) => entry.value.length)).to.deep.equal([0, 0, 0, 0])
      expect(scan(store, { gte: key(7), lt: key(7) })).to.deep.equal([])
      expect(scan(store, { gte: key(7), lt: key(3) })).to.deep.equal([])
      expect(scan(store, { gte: text('z'), lt: LAST })).to.deep.equal([])
      expect(scan(store, { gte: FIRST, lt: key(0), reverse: true })).to.deep.equal([])
    })

    it('hands out at most the rows asked for, and an empty array at the end as often as it is asked', () => {
      put(
        store,
        Array.from({ length: 5 }, (_, n) => [key(n), text(String(n))] as const),
      )
      const cursor = store.cursor({ gte: FIRST, lt: LAST })
      expect([2, 2, 2, 2, 2].map((rows) => cursor.next(rows).length)).to.deep.equal([2, 2, 1, 0, 0])
      cursor.close()
      cursor.close()
    })

    it('bounds one step of a cursor by bytes, without ending it', () => {
      const value = new Uint8Array(SCAN_CHUNK_BYTES / 4)
      put(
        store,
        Array.from({ length: 16 }, (_, n) => [key(n), value] as const),
      )
      for (const reverse of [false, true]) {
        const cursor = store.cursor({ gte: FIRST, lt: LAST, reverse })
        let rows = 0
        for (;;) {
          const entries = cursor.next(100)
          if (entries.length === 0) break
          expect(entries.length).to.be.at.most(5)
          rows += entries.length
        }
        cursor.close()
        expect(rows).to.equal(16)
      }
    })

    it('shows a cursor the store as it was when the cursor was opened', () => {
      put(
        store,
        Array.from({ length: 1000 }, (_, n) => [key(n), text('old')] as const),
      )
      const cursor = store.cursor({ gte: FIRST, lt: LAST })
      const backwards = store.cursor({ gte: FIRST, lt: LAST, reverse: true })
      const first = cursor.next(10)
      const batch = store.batch()
      for (let n = 0; n < 1000; n += 1) {
        if (n % 3 === 0) batch.delete(key(n))
        else batch.put(key(n), text('new'))
        batch.put(text(`key-${String(n).padStart(8, '0')}-more`), text('new'))
      }
      store.write(batch)
      store.drop({ gte: key(500), lt: key(600) })
      const rest: Entry[] = [...first]
      for (;;) {
        const more = cursor.next(100)
        if (more.length === 0) break
        rest.push(...more)
      }
      expect(rest.length).to.equal(1000)
      expect(new Set(rest.map((entry) => show(entry.value)))).to.deep.equal(new Set(['old']))
      expect(backwards.next(1).map((entry) => show(entry.key))).to.deep.equal([show(key(999))])
      cursor.close()
      backwards.close()
      expect(scan(store, { gte: FIRST, lt: LAST }).some((entry) => show(entry.value) === 'old')).to.equal(
        false,
      )
    })

    it('winds a cursor back to where it began, from anywhere, in the view that it had', () => {
      put(
        store,
        Array.from({ length: 20 }, (_, n) => [key(n), text('old')] as const),
      )
      const cursor = store.cursor({ gte: key(5), lt: key(15) })
      const read = (rows: number): unknown[] => cursor.next(rows).map((entry) => show(entry.key))
      const all = Array.from({ length: 10 }, (_, n) => show(key(n + 5)))
      cursor.rewind()
      expect(read(3)).to.deep.equal(all.slice(0, 3))
      store.drop({ gte: FIRST, lt: LAST })
      cursor.rewind()
      expect(read(100)).to.deep.equal(all)
      expect(read(100)).to.deep.equal([])
      cursor.rewind()
      expect(read(100)).to.deep.equal(all)
      cursor.close()
      const nothing = store.cursor({ gte: key(5), lt: key(5) })
      nothing.rewind()
      expect(nothing.next(1)).to.deep.equal([])
      nothing.close()
    })

    it('keeps values of 1 MiB and keys of 4,096 bytes', async () => {
      const longKey = new Uint8Array(4096).fill(7)
      const value = Uint8Array.from({ length: 1 << 20 }, (_, n) => (n * 31) & 255)
      put(store, [[longKey, value]])
      const [read] = store.getMany([longKey])
      expect(Buffer.compare(read ?? FIRST, value)).to.equal(0)
      const [again] = await store.getManyAsync([longKey])
      expect(Buffer.compare(again ?? FIRST, value)).to.equal(0)
    })

    it('keeps its own copy: what the caller does with its arrays later changes nothing', () => {
      const rowKey = text('mine')
      const value = text('before')
      put(store, [[rowKey, value]])
      rowKey.fill(0)
      value.fill(0)
      expect(store.getMany([text('mine')]).map(show)).to.deep.equal(['before'])
      store.getMany([text('mine')])[0]?.fill(0)
      expect(store.getMany([text('mine')]).map(show)).to.deep.equal(['before'])
    })

    it('drops a range and nothing beside it, and the range can be filled again', () => {
      put(
        store,
        Array.from({ length: 1000 }, (_, n) => [key(n), text(String(n))] as const),
      )
      store.drop({ gte: key(100), lt: key(900) })
      const left = scan(store, { gte: FIRST, lt: LAST })
      expect(left.length).to.equal(200)
      expect(store.getMany([key(99), key(100), key(899), key(900)]).map(show)).to.deep.equal([
        '99',
        undefined,
        undefined,
        '900',
      ])
      put(store, [[key(500), text('back')]])
      expect(store.getMany([key(500)]).map(show)).to.deep.equal(['back'])
    })

    it('grows in size as it is filled', () => {
      const before = store.approximateBytes()
      const value = new Uint8Array(1000).fill(1)
      put(
        store,
        Array.from({ length: 1000 }, (_, n) => [key(n), value] as const),
      )
      expect(store.approximateBytes() - before).to.be.at.least(500_000)
    })

    it('equals a sorted map after any run of batches (property)', () => {
      const smallKey = fc.uint8Array({ minLength: 1, maxLength: 2, max: 3 })
      const change = fc.oneof(
        fc.record({
          kind: fc.constant('put' as const),
          key: smallKey,
          value: fc.uint8Array({ maxLength: 3 }),
        }),
        fc.record({ kind: fc.constant('delete' as const), key: smallKey }),
      )
      const step = fc.oneof(
        { weight: 5, arbitrary: fc.array(change, { maxLength: 20 }) },
        { weight: 1, arbitrary: fc.record({ gte: smallKey, lt: smallKey }) },
      )
      fc.assert(
        fc.property(
          fc.array(step, { maxLength: 10 }),
          smallKey,
          smallKey,
          fc.boolean(),
          (steps, gte, lt, reverse) => {
            store.drop({ gte: FIRST, lt: LAST })
            const model = new Map<string, string>()
            for (const one of steps) {
              if (Array.isArray(one)) {
                const batch = store.batch()
                for (const entry of one) {
                  if (entry.kind === 'put') {
                    batch.put(entry.key, entry.value)
                    model.set(hex(entry.key), hex(entry.value))
                  } else {
                    batch.delete(entry.key)
                    model.delete(hex(entry.key))
                  }
                }
                store.write(batch)
              } else {
                store.drop(one)
                for (const modelKey of model.keys())
                  if (modelKey >= hex(one.gte) && modelKey < hex(one.lt)) model.delete(modelKey)
              }
            }
            const rows = [...model]
              .filter(([k]) => k >= hex(gte) && k < hex(lt))
              .sort(([a], [b]) => (a < b ? -1 : 1))
            if (reverse) rows.reverse()
            expect(
              scan(store, { gte, lt, reverse }, 3).map((entry) => [hex(entry.key), hex(entry.value)]),
            ).to.deep.equal(rows)
            const asked = [...model.keys()]
            expect(
              store.getMany(asked.map((k) => Buffer.from(k, 'hex'))).map((value) => hex(value ?? FIRST)),
            ).to.deep.equal([...model.values()])
          },
        ),
        { numRuns: 100 },
      )
    })

    it('refuses use after close', async () => {
      put(store, [[text('a'), text('1')]])
      const batch = store.batch()
      batch.put(text('b'), text('2'))
      const cursor = store.cursor({ gte: FIRST, lt: LAST })
      const running = store.getManyAsync([text('a')])
      await store.close()
      await store.close()
      expect((await running).map(show)).to.deep.equal(['1'])
      expect(reasonOf(() => store.getMany([text('a')]))).to.equal('NODE_DRAINING')
      expect(reasonOf(() => cursor.next(1))).to.equal('NODE_DRAINING')
      expect(
        reasonOf(() => {
          cursor.close()
        }),
      ).to.equal('no error')
      expect(
        reasonOf(() => {
          store.write(batch)
        }),
      ).to.equal('NODE_DRAINING')
      expect(
        reasonOf(() => {
          store.drop({ gte: FIRST, lt: LAST })
        }),
      ).to.equal('NODE_DRAINING')
      expect(reasonOf(() => store.cursor({ gte: FIRST, lt: LAST }))).to.equal('NODE_DRAINING')
      const refused = await store
        .getManyAsync([text('a')])
        .catch((error: unknown) => TidemarkError.from(error))
      expect(refused).to.have.property('reason', 'NODE_DRAINING')
    })

    const { reopen } = harness
    if (reopen !== undefined) {
      it('has everything again after it was closed and opened', async () => {
        put(
          store,
          Array.from({ length: 1000 }, (_, n) => [key(n), text(String(n))] as const),
        )
        const batch = store.batch()
        batch.delete(key(7))
        store.write(batch, { sync: true })
        store.drop({ gte: key(100), lt: key(200) })
        store = await reopen(store)
        expect(scan(store, { gte: FIRST, lt: LAST }).length).to.equal(899)
        expect(store.getMany([key(6), key(7), key(150), key(999)]).map(show)).to.deep.equal([
          '6',
          undefined,
          undefined,
          '999',
        ])
      })
    }
  })
}
