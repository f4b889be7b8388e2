/** Watches against the model: ordered, unique, complete, atomic for each record, from any place, however slow the watcher is. */
import { expect } from 'chai'
import { BehaviorSubject } from 'rxjs'
import { TidemarkError } from '../core/errors.ts'
import { Model } from '../core/testing/model.ts'
import { Prng } from '../core/testing/prng.ts'
import { randomLog } from '../core/testing/random-log.ts'
import { draft, logged } from '../core/testing/records.ts'
import type { LogRecord, Offset } from '../core/types.ts'
import type { WatchEvent, WatchMessage, WatchOptions } from '../face.ts'
import { systemClock } from '../system.ts'
import type { ReplicaBounds } from './bounds.ts'
import { KEYSPACE, ScriptedLog, openRig } from './replica.fake.ts'
import type { Rig } from './replica.fake.ts'
import { checkWatch, watchReplicas } from './watch.ts'

const KEYS = ['a', 'b', 'c', 'a/1', 'k1', 'k2', 'ä']
const everything = { start: Buffer.alloc(0), end: undefined }

/** One change on one line: `12 put a=1`. */
const line = (offset: number, kind: string, key: string, value: string): string =>
  `${offset} ${kind} ${key}=${value}`
const shown = ({ kind, row }: WatchEvent): string =>
  line(row.version, kind, Buffer.from(row.key).toString('latin1'), Buffer.from(row.value).toString('latin1'))

/** The changes of each record, in the words of `shown`. */
function changesOf(records: readonly LogRecord[]): {
  readonly lines: readonly (readonly string[])[]
  readonly model: Model
} {
  const model = new Model(0, 1)
  const lines = records.map((record) => {
    const done = model.apply(record)
    if (done === 'stop') throw new Error('a log without formats of the future')
    return done.changes.map(({ kind, key, row }) => line(record.offset, kind, key, row?.value ?? ''))
  })
  return { lines, model }
}

const tokenAt = (offset: number): NonNullable<WatchOptions['resume']> => ({
  logIdentity: '',
  positions: [{ keyspace: KEYSPACE, partition: 0 as never, offset: offset as Offset }],
})

interface Seen {
  readonly lines: string[]
  readonly marks: string[]
  /** The position after the last message that told one. */
  position: number
}

/** Pulls messages until the watch has passed `until`; `pause` is called before each pull. */
async function follow(
  watch: AsyncIterator<WatchMessage>,
  until: number,
  pause: () => Promise<void> = async () => Promise.resolve(),
  seen: Seen = { lines: [], marks: [], position: -1 },
): Promise<Seen> {
  while (seen.position < until) {
    await pause()
    const { value, done } = (await watch.next()) as IteratorResult<WatchMessage, undefined>
    if (done === true) throw new Error('the watch has ended')
    seen.lines.push(...value.events.map(shown))
    seen.marks.push(value.mark)
    seen.position = value.positions[0]?.offset ?? seen.position
  }
  return seen
}

describe('watch', () => {
  const open: Rig[] = []
  const watches: AsyncIterator<WatchMessage>[] = []
  afterEach(async () => {
    for (const watch of watches.splice(0)) await watch.return?.()
    for (const { replica } of open.splice(0)) await replica.close()
  })

  function rigOf(seed: number, bounds: Partial<ReplicaBounds> = {}, batchMax = 20): Rig {
    const prng = new Prng(seed)
    const script = new ScriptedLog()
    script.batchRecords = () => 1 + prng.below(batchMax)
    const rig = openRig({ script, bounds })
    open.push(rig)
    return rig
  }
  function watchOf(
    rig: Rig,
    options: Partial<WatchOptions> = {},
    draining$ = new BehaviorSubject(false),
  ): AsyncIterableIterator<WatchMessage> {
    const watch = watchReplicas(
      [rig.replica],
      { range: everything, progressIntervalMs: 100, ...options },
      systemClock,
      draining$,
    )
    watches.push(watch)
    return watch
  }
  const reasonOf = async (watch: AsyncIterator<WatchMessage>, pulls = 1): Promise<string> => {
    try {
      for (let pull = 0; pull < pulls; pull++) await watch.next()
      return 'nothing was thrown'
    } catch (caught) {
      return TidemarkError.from(caught).reason
    }
  }
  const log = (seed: number, records: number): readonly LogRecord[] =>
    randomLog(new Prng(seed), { records, partition: 0, partitions: 1, keys: KEYS })
  const last = (rig: Rig): number => rig.replica.state.next - 1

  it('gives the rows as they stand, a mark, then what changes', async () => {
    const rig = rigOf(1)
    rig.script.append(['b', 'a', 'c'].map((key, at) => logged(at, 0, draft(key, 'old'))))
    rig.script.append([logged(3, 0, draft('b', null))])
    await rig.caughtUp()
    const watch = watchOf(rig, { initialRows: true })
    const seen = await follow(watch, 3)
    expect(seen.lines).to.deep.equal(['1 put a=old', '2 put c=old'])
    expect(seen.marks).to.deep.equal(['events', 'initial-end'])
    rig.script.append([logged(4, 0, draft('c', null)), logged(5, 0, draft('d', 'new'))])
    await follow(watch, 5, undefined, seen)
    expect(seen.lines.slice(2)).to.deep.equal(['4 deleted c=', '5 put d=new'])
  })

  it('begins with where it stands', async () => {
    const rig = rigOf(1)
    rig.script.append([logged(0, 0, draft('a', '1'))])
    await rig.caughtUp()
    const { value } = (await watchOf(rig).next()) as { readonly value: WatchMessage }
    expect([value.mark, value.positions[0]?.offset]).to.deep.equal(['progress', 0])
  })

  it('resumes exactly at every offset of a random log, out of the ring and out of the history', async () => {
    const records = log(42, 3000)
    const { lines } = changesOf(records)
    const rig = rigOf(42, { segmentBytes: 2000, recentRecords: 700 })
    rig.script.append(records)
    await rig.caughtUp()
    const { recent, state } = rig.replica
    expect(recent.start).to.be.greaterThan(1000)
    const offsets = records.map(({ offset }) => offset as number)
    let first = 0
    for (let seenTo = 0; seenTo < state.next; seenTo++) {
      while (first < offsets.length && (offsets[first] ?? 0) <= seenTo) first += 1
      const whole = seenTo % 100 === 0
      const until = whole ? state.next - 1 : Math.min(state.next - 1, seenTo + 30)
      const watch = watchReplicas(
        [rig.replica],
        { range: everything, resume: tokenAt(seenTo) },
        systemClock,
        new BehaviorSubject(false),
      )
      const seen = await follow(watch, until)
      await watch.return?.()
      const passed = offsets.findIndex((offset) => offset > seen.position)
      const wanted = lines.slice(first, passed < 0 ? undefined : passed).flat()
      if (seen.lines.join('\n') !== wanted.join('\n'))
        expect(seen.lines, `resumed after ${seenTo}`).to.deep.equal(wanted)
    }
  }).timeout(60_000)

  for (let seed = 1; seed <= 8; seed++)
    it(`misses nothing and repeats nothing while the log moves on, seed ${seed}`, async () => {
      const prng = new Prng(seed)
      const records = log(seed, 600)
      const rig = rigOf(seed, { segmentBytes: 300, recentRecords: seed % 2 === 0 ? 5 : 4096 }, 3)
      const watch = watchOf(rig)
      await watch.next()
      const turns = async (): Promise<void> => {
        for (let turn = prng.below(6); turn > 0; turn--) await Promise.resolve()
        if (prng.chance(10)) await new Promise((resolve) => setImmediate(resolve))
      }
      const writing = (async () => {
        for (let at = 0; at < records.length; at += 25) {
          rig.script.append(records.slice(at, at + 25))
          await turns()
          await new Promise((resolve) => setImmediate(resolve))
        }
      })()
      const seen = await follow(watch, records.at(-1)?.offset ?? 0, turns)
      await writing
      expect(seen.lines).to.deep.equal(changesOf(records).lines.flat())
    })

  for (let seed = 31; seed <= 38; seed++)
    it(`comes to the right rows when it falls so far behind that it gets what changed, seed ${seed}`, async () => {
      const prng = new Prng(seed)
      const records = log(seed, 900)
      const rig = rigOf(
        seed,
        { segmentBytes: 200, recentRecords: 4, historyRecords: 30, tombstoneRecords: 5000 },
        8,
      )
      const watch = watchOf(rig, { initialRows: true })
      const view = new Map<string, string>()
      const versions = new Map<string, number>()
      let at = 0
      let deltas = 0
      let inDelta = false
      const more = async (): Promise<void> => {
        if (!prng.chance(40) || at >= records.length) return
        const count = prng.chance(30) ? 120 : prng.below(10)
        rig.script.append(records.slice(at, at + count))
        at += count
        await rig.caughtUp()
      }
      for (let position = -1; position < last(rig) || at < records.length;) {
        await more()
        if (position >= last(rig)) continue
        const { value } = (await watch.next()) as { readonly value: WatchMessage }
        if (value.mark === 'delta-begin') {
          deltas += 1
          inDelta = true
        }
        for (const { kind, row } of value.events) {
          const key = Buffer.from(row.key).toString('latin1')
          const before = versions.get(key) ?? -1
          // Only a row that expires and is written by one record shows the same version twice.
          expect(row.version, `${key}: ${kind} after ${before}`).to.be.at.least(before)
          if (inDelta) expect(row.version, 'a delta tells of each row once').to.be.greaterThan(before)
          versions.set(key, row.version)
          if (kind === 'put') view.set(key, Buffer.from(row.value).toString('latin1'))
          else view.delete(key)
        }
        if (value.mark === 'initial-end') inDelta = false
        position = value.positions[0]?.offset ?? position
      }
      const { model } = changesOf(records)
      const wanted = [...model.rows].map(([key, row]) => [key, row.value]).sort()
      expect([...view].sort()).to.deep.equal(wanted)
      expect(deltas).to.be.greaterThan(0)
    })

  describe('when the history before its place is gone', () => {
    async function trimmed(tombstoneRecords: number): Promise<Rig> {
      const rig = rigOf(3, { segmentBytes: 1, recentRecords: 5, historyRecords: 20, tombstoneRecords }, 1)
      rig.script.append([
        logged(0, 0, draft('a', '1')),
        logged(1, 0, draft('b', '1')),
        logged(2, 0, draft('c', '1')),
      ])
      rig.script.append([logged(3, 0, draft('b', null)), logged(4, 0, draft('a', '2'))])
      rig.script.append(Array.from({ length: 200 }, (_, at) => logged(5 + at, 0, draft('busy', String(at)))))
      await rig.caughtUp()
      expect(rig.replica.state.historyStart).to.be.greaterThan(100)
      return rig
    }
    it('gives what changed since, deletes included, then goes on', async () => {
      const rig = await trimmed(1000)
      const watch = watchOf(rig, { resume: tokenAt(2) })
      const seen = await follow(watch, 204)
      expect(seen.marks).to.deep.equal(['progress', 'delta-begin', 'events', 'initial-end'])
      expect(seen.lines).to.deep.equal(['4 put a=2', '3 deleted b=', '204 put busy=199'])
      rig.script.append([logged(205, 0, draft('a', null))])
      expect((await follow(watch, 205, undefined, seen)).lines.slice(3)).to.deep.equal(['205 deleted a='])
    })
    it('tells nothing twice when the caller waits in the middle', async () => {
      const rig = await trimmed(1000)
      const watch = watchOf(rig, { resume: tokenAt(2) })
      await watch.next()
      expect(((await watch.next()) as { readonly value: WatchMessage }).value.mark).to.equal('delta-begin')
      rig.script.append([logged(205, 0, draft('a', '3')), logged(206, 0, draft('a', '4'))])
      await rig.caughtUp()
      const seen = await follow(watch, 206)
      expect(seen.lines.filter((text) => text.includes(' a='))).to.deep.equal(['206 put a=4'])
    })
    it('is refused where it asked for exact changes', async () => {
      const rig = await trimmed(1000)
      const watch = watchOf(rig, { resume: tokenAt(2), exact: true })
      await watch.next()
      const error = await watch.next().then(() => undefined, TidemarkError.from)
      expect([error?.reason, error?.metadata['earliest']]).to.deep.equal([
        'COMPACTED',
        String(rig.replica.state.historyStart),
      ])
    })
    it('is refused past the tombstones', async () => {
      const rig = await trimmed(50)
      expect(rig.replica.state.tombstoneStart).to.be.greaterThan(100)
      expect(await reasonOf(watchOf(rig, { resume: tokenAt(2) }), 2)).to.equal('COMPACTED')
      const kept = await follow(watchOf(rig, { resume: tokenAt(rig.replica.state.tombstoneStart - 1) }), 204)
      expect(kept.lines).to.include('204 put busy=199')
    })
    it('is refused in the middle when the tombstones go while the caller waits', async () => {
      const rig = await trimmed(220)
      const watch = watchOf(rig, { resume: tokenAt(2) })
      await watch.next()
      await watch.next()
      rig.script.append(
        Array.from({ length: 200 }, (_, at) => logged(205 + at, 0, draft('busy', String(at)))),
      )
      await rig.caughtUp()
      expect(await reasonOf(watch)).to.equal('COMPACTED')
    })
  })

  it('tells of changes in its range only', async () => {
    const rig = rigOf(1)
    const watch = watchOf(rig, {
      range: { start: Buffer.from('b'), end: Buffer.from('d') },
      initialRows: true,
    })
    rig.script.append(['a', 'b', 'c', 'd', 'c/1'].map((key, at) => logged(at, 0, draft(key, 'v'))))
    await rig.caughtUp()
    const seen = await follow(watch, 4)
    rig.script.append(['a', 'b', 'd'].map((key, at) => logged(5 + at, 0, draft(key, null))))
    await follow(watch, 6, undefined, seen)
    expect(seen.lines).to.deep.equal(['1 put b=v', '2 put c=v', '4 put c/1=v', '6 deleted b='])
  })

  it('keeps the changes of one record in one message', async () => {
    const rig = rigOf(1, { segmentBytes: 1, recentRecords: 2 })
    const big = 'v'.repeat(100_000)
    const records = log(9, 60).map((record) => ({
      ...record,
      value: record.headers.size === 0 && record.value !== null ? Buffer.from(big) : record.value,
    }))
    rig.script.append(records)
    await rig.caughtUp()
    const watch = watchOf(rig, { resume: tokenAt(records[0]?.offset ?? 0) })
    const places = new Map<number, number>()
    let message = 0
    for (let position = -1; position < last(rig); message++) {
      const { value } = (await watch.next()) as { readonly value: WatchMessage }
      for (const { row } of value.events) {
        expect(places.get(row.version) ?? message, `record ${row.version}`).to.equal(message)
        places.set(row.version, message)
      }
      position = value.positions[0]?.offset ?? position
    }
    expect(message).to.be.greaterThan(5)
  })

  it('gives the row before where it is asked for', async () => {
    const rig = rigOf(1)
    const watch = watchOf(rig, { previousRows: true })
    await watch.next()
    const ttl = { 'tm-ttl-ms': '10', traceparent: '00-1' }
    rig.script.append([
      logged(0, 0, draft('a', '1', ttl)),
      logged(1, 10, draft('a', '2')),
      logged(2, 11, draft('a', null)),
    ])
    const events: WatchEvent[] = []
    while (events.length < 4)
      events.push(...((await watch.next()) as { readonly value: WatchMessage }).value.events)
    expect(
      events.map((event) => [
        shown(event),
        event.time,
        event.previous === undefined ? undefined : Buffer.from(event.previous.value).toString(),
        event.traceparent,
      ]),
    ).to.deep.equal([
      ['0 put a=1', 0, undefined, '00-1'],
      ['1 expired a=', 10, '1', undefined],
      ['1 put a=2', 10, undefined, undefined],
      ['2 deleted a=', 11, '2', undefined],
    ])
  })

  it('marks its progress while nothing in its range changes', async () => {
    const rig = rigOf(1)
    const watch = watchOf(rig, { range: { start: Buffer.from('x'), end: Buffer.from('y') } })
    await watch.next()
    rig.script.append(['a', 'b'].map((key, at) => logged(at, 0, draft(key, 'v'))))
    const { value } = (await watch.next()) as { readonly value: WatchMessage }
    expect([value.mark, value.events.length, value.positions[0]?.offset]).to.deep.equal(['progress', 0, 1])
  })

  it('lets others work while it goes a long way through the history without a match', async () => {
    const rig = rigOf(1, { segmentBytes: 1000, recentRecords: 1 }, 500)
    rig.script.append(
      Array.from({ length: 3000 }, (_, at) => logged(at, 0, draft(`k${at % 50}`, `value ${at}`))),
    )
    rig.script.append([logged(3000, 0, draft('match', '1'))])
    await rig.caughtUp()
    let turns = 0
    let watching = true
    const count = (): void => {
      turns += 1
      if (watching) setImmediate(count)
    }
    setImmediate(count)
    const seen = await follow(
      watchOf(rig, { range: { start: Buffer.from('m'), end: undefined }, resume: tokenAt(0) }),
      3000,
    )
    watching = false
    expect(seen.lines).to.deep.equal(['3000 put match=1'])
    expect(turns).to.be.greaterThan(20)
  })

  it('ends when the node drains or the partition stops, and holds on to nothing', async () => {
    const rig = rigOf(1)
    const draining$ = new BehaviorSubject(false)
    const [drained, stopped, returned] = [watchOf(rig, {}, draining$), watchOf(rig), watchOf(rig)]
    for (const watch of [drained, stopped, returned]) await watch.next()
    const ends = [drained.next(), stopped.next()].map((next) =>
      next.then(
        () => undefined,
        (caught: unknown) => TidemarkError.from(caught).reason,
      ),
    )
    expect(rig.replica.applied$.observed).to.equal(true)
    await returned.return?.()
    draining$.next(true)
    expect(await ends[0]).to.equal('NODE_DRAINING')
    rig.replica.stop(new TidemarkError('LOG_TRIMMED', 'gone'))
    expect(await ends[1]).to.equal('PARTITION_STOPPED')
    expect(draining$.observed).to.equal(false)
    expect(rig.replica.applied$.observed).to.equal(false)
  })

  it('ends at once when it is returned while it waits', async () => {
    const draining$ = new BehaviorSubject(false)
    const watch = watchOf(rigOf(1), {}, draining$)
    await watch.next()
    const waiting = watch.next()
    await new Promise((resolve) => setImmediate(resolve))
    expect(await watch.return?.()).to.deep.equal({ done: true, value: undefined })
    expect(await waiting).to.deep.equal({ done: true, value: undefined })
    expect(draining$.observed).to.equal(false)
    expect(await watch.next()).to.deep.equal({ done: true, value: undefined })
  })

  it('has either initial rows or a place to resume', () => {
    expect(() => checkWatch({ range: everything, initialRows: true, resume: tokenAt(1) })).to.throw(
      'not both',
    )
    expect(() =>
      checkWatch({ range: everything, initialRows: true, resume: { logIdentity: '', positions: [] } }),
    ).to.not.throw()
  })
})
