import { expect } from 'chai'
import { encodeBarrier, encodeFormat } from '../core/encode.ts'
import { TidemarkError } from '../core/errors.ts'
import { PACK_BYTES_TARGET, WRITES_IN_FLIGHT_MAX, WRITE_BYTES_IN_FLIGHT_MAX } from '../core/limits.ts'
import { readPack } from '../core/messages.ts'
import type { Mutation, RowMutation } from '../core/mutation.ts'
import type { LogTime, NewRecord, Partition } from '../core/types.ts'
import type { Append, AppendListener, Appended, Log } from '../log/log.ts'
import { openMemoryLog } from '../log/memory.ts'
import { getRow } from './read.ts'
import { HandClock, openRig } from './replica.fake.ts'
import type { Rig } from './replica.fake.ts'
import { Writer } from './writer.ts'
import type { Written } from './writer.ts'

const TOPIC = 'test.default'
type Behaviour = (
  append: (parts?: readonly Append[]) => Promise<readonly Appended[]>,
  parts: readonly Append[],
  listener: AppendListener | undefined,
) => Promise<readonly Appended[]>

/** Resolves when it is told to. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open }
}

/** A memory log whose appends do as the test says, each its own; what was appended is noted. */
class TestLog {
  readonly appends: (readonly Append[])[] = []
  /** What the next appends do, in order; those after them just append. */
  readonly plan: Behaviour[] = []
  readonly log: Log

  constructor(lanes = 1) {
    const inner = openMemoryLog({ clock: () => 5 as LogTime, lanes })
    this.log = {
      ...inner,
      get healthy() {
        return inner.healthy
      },
      append: (lane, parts, listener) => {
        this.appends.push(parts)
        const append = async (some = parts): Promise<readonly Appended[]> => inner.append(lane, some)
        return (this.plan.shift() ?? ((now: typeof append) => now()))(append, parts, listener)
      },
    }
  }

  /** Holds back the next append until the gate is opened. */
  hold(): { open(): void } {
    const door = gate()
    this.plan.push(async (append) => {
      await door.opened
      return append()
    })
    return door
  }

  /** The records of all appends, each as its operation and its keys. */
  get shown(): readonly string[] {
    return this.appends.flatMap((parts) => parts.flatMap(({ records }) => records.map(shownRecord)))
  }
}

function shownRecord({ key, value, headers }: NewRecord): string {
  const operation = Buffer.from(headers.get('tm-op') ?? []).toString()
  if (operation !== 'pack')
    return [operation, Buffer.from(key ?? []).toString()].filter((part) => part !== '').join(' ')
  return `pack ${readPack(value ?? Buffer.alloc(0))
    .map((mutation) => Buffer.from(mutation.key).toString())
    .join(' ')}`
}

const put = (key: string, value = 'v', more: object = {}): RowMutation => ({
  kind: 'put',
  key: Buffer.from(key),
  value: Buffer.from(value),
  ...more,
})
const add = (key: string, more: object = {}): RowMutation => ({
  kind: 'increment',
  key: Buffer.from(key),
  delta: 1n,
  ...more,
})
const txn = (key: string): Mutation => ({
  kind: 'txn',
  compares: [],
  thenChanges: [{ kind: 'delete', key: Buffer.from(key) }],
  elseChanges: [],
})
const unavailable = (): TidemarkError => new TidemarkError('LOG_UNAVAILABLE', 'no broker answers')
const settled = async (result: Promise<Written>): Promise<string> =>
  result.then(
    ({ outcome }) =>
      outcome === undefined ? 'logged' : outcome.status === 'applied' ? 'applied' : outcome.reason,
    (caught: unknown) => TidemarkError.from(caught).reason,
  )

describe('writer', () => {
  const clock = { current: new HandClock() }
  const open: Rig[] = []
  let log: TestLog
  let rig: Rig
  let writer: Writer
  afterEach(async () => {
    for (const { replica } of open.splice(0)) await replica.close()
  })

  /** One writer over as many replicas as there are partitions; `rig` is the first. */
  async function start(partitions = 1, lanes = 1, valueBytesMax = 1024 * 1024): Promise<readonly Rig[]> {
    clock.current = new HandClock()
    log = new TestLog(lanes)
    const { identity } = await log.log.createTopic(TOPIC, { partitions, valueBytesMax, replication: 1 })
    const rigs = Array.from({ length: partitions }, (_, partition) =>
      openRig({ log: log.log, clock: clock.current, partition, partitions, topicIdentity: identity }),
    )
    open.push(...rigs)
    writer = new Writer(log.log, clock.current, 'w1')
    const [first] = rigs
    if (first === undefined) throw new Error('no partition')
    rig = first
    return rigs
  }
  beforeEach(() => start())

  const told = (_: unknown, written: Written): Written => written
  const far = (): number => clock.current.elapsed() + 60_000
  const write = (
    mutation: Mutation,
    durability: 'applied' | 'logged' = 'applied',
    deadline = far(),
  ): Promise<Written> => writer.write(rig.replica, mutation, durability, deadline, told)
  const value = (key: string): string | undefined => {
    const row = getRow(rig.replica, Buffer.from(key))
    return row === undefined ? undefined : Buffer.from(row.value).toString()
  }

  describe('groups', () => {
    it('nothing: a single mutation is a plain record with an id of the writer', async () => {
      const { offset, outcome } = await write(put('a'))
      expect(outcome).to.deep.equal({ status: 'applied', offset, version: offset, duplicate: false })
      expect(log.shown).to.deep.equal(['a'])
      const record = log.appends[0]?.[0]?.records[0]
      expect(
        [...(record?.headers ?? [])].map(([name, content]) => `${name}=${Buffer.from(content).toString()}`),
      ).to.deep.equal(['tm-request-id=w1/0'])
    })

    it('what is written in one turn, and what gathers while an append is in flight', async () => {
      const door = log.hold()
      const first = [write(put('a')), write(put('b'))]
      await Promise.resolve()
      await Promise.resolve()
      expect(log.shown).to.deep.equal(['pack a b'])
      const second = [write(put('c')), write(add('d')), write({ kind: 'delete', key: Buffer.from('e') })]
      await new Promise((resolve) => setImmediate(resolve))
      expect(log.appends, 'nothing goes out while one is in flight').to.have.length(1)
      door.open()
      const offsets = (await Promise.all([...first, ...second])).map(({ offset }) => offset as number)
      expect(log.shown).to.deep.equal(['pack a b', 'pack c d e'])
      expect(offsets).to.deep.equal([0, 0, 1, 1, 1])
      expect(writer.inFlight).to.equal(0)
    })

    it('each key once in a record, in the order of the writes', async () => {
      const results = Array.from({ length: 9 }, (_, at) => write(put(`k${at % 2}`, String(at))))
      await Promise.all(results)
      expect(log.shown).to.deep.equal(['pack k0 k1', 'pack k0 k1', 'pack k0 k1', 'pack k0 k1', 'k0'])
      expect([value('k0'), value('k1')]).to.deep.equal(['8', '7'])
    })

    it('keeps the order of mixed writes to one key', async () => {
      const outcomes = await Promise.all([
        write(put('n', '1')),
        write(add('n')),
        write(txn('n')),
        write(add('n')),
        write(put('m')),
        write(put('n', 'end', { ifVersion: 3 })),
      ])
      expect(log.shown).to.deep.equal(['n', 'increment n', 'txn', 'pack n m', 'n'])
      expect(
        outcomes.map(({ outcome }) =>
          outcome?.status === 'applied'
            ? (outcome.number ?? outcome.succeeded ?? outcome.version)
            : outcome?.reason,
        ),
      ).to.deep.equal([0, 2n, true, 1n, 3, 4])
    })

    it('no transaction and no control record with others', async () => {
      await Promise.all([
        write(put('a')),
        write(txn('b')),
        writer.control(rig.replica, encodeBarrier(), far()),
        write(put('c')),
        write(put('d')),
      ])
      expect(log.shown).to.deep.equal(['a', 'txn', 'barrier', 'pack c d'])
    })

    it('all that wait for a barrier behind one, after the writes that came with them', async () => {
      const door = log.hold()
      const first = write(put('a'))
      await new Promise((resolve) => setImmediate(resolve))
      const order: string[] = []
      const barriers = [1, 2, 3].map(() =>
        writer.barrier(rig.replica, far()).then(() => order.push('barrier')),
      )
      const late = settled(
        writer
          .barrier(rig.replica, clock.current.elapsed() + 100)
          .then(() => ({ offset: 0 as never, outcome: undefined })),
      )
      const second = write(put('b')).then(() => order.push('b'))
      clock.current.advance(100)
      door.open()
      await Promise.all([first, second, ...barriers])
      expect(log.shown).to.deep.equal(['a', 'b', 'barrier'])
      expect(order[0]).to.equal('b')
      expect(await late).to.equal('DEADLINE_EXCEEDED')
      await writer.barrier(rig.replica, far())
      expect(log.shown, 'who comes later has one of his own').to.deep.equal(['a', 'b', 'barrier', 'barrier'])
      expect(writer.inFlight).to.equal(0)
    })

    it('nothing in a keyspace that wants no packs', async () => {
      await writer.control(
        rig.replica,
        encodeFormat({ version: 1, separator: Buffer.alloc(0), valueBytesMax: 0, packingDisabled: true }),
        far(),
      )
      await Promise.all([write(put('a')), write(put('b')), write(put('c'))])
      expect(log.shown).to.deep.equal(['format', 'a', 'b', 'c'])
    })

    it('so many that no record is over what the log takes, however large what hangs on them is', async () => {
      await start(1, 1, 1000)
      const more = { contentType: 't'.repeat(200), traceparent: '0'.repeat(55) }
      const results = Array.from({ length: 3000 }, (_, at) =>
        write(put(`k${at}`, 'v', { ...more, requestId: `client-with-a-long-name-0123456789/${at}` })),
      )
      expect(new Set(await Promise.all(results.map(settled)))).to.deep.equal(new Set(['applied']))
      for (const parts of log.appends)
        for (const { records } of parts)
          for (const { value: pack } of records) expect(pack?.length).to.be.lessThan(PACK_BYTES_TARGET + 1000)
    })

    it('small ones without the largest value, which travels alone', async () => {
      const large = put('large', 'x'.repeat(1024 * 1024))
      expect(
        new Set(
          await Promise.all(
            [...Array.from({ length: 900 }, (_, at) => put(`k${at}`, 'y'.repeat(100))), large].map(
              (mutation) => settled(write(mutation)),
            ),
          ),
        ),
      ).to.deep.equal(new Set(['applied']))
      expect(log.shown.at(-1)).to.equal('large')
    })

    it('by partition, two lanes at once', async () => {
      const rigs = await start(4, 2)
      const doors = [log.hold(), log.hold()]
      const all = rigs.flatMap(({ replica }) =>
        [0, 1].map((at) =>
          writer.write(replica, put(`p${replica.state.partition}-${at}`), 'logged', far(), told),
        ),
      )
      await new Promise((resolve) => setImmediate(resolve))
      expect(log.appends.map((parts) => parts.map(({ partition }) => partition as number))).to.deep.equal([
        [0, 2],
        [1, 3],
      ])
      for (const door of doors) door.open()
      expect((await Promise.all(all)).map(({ offset }) => offset as number)).to.deep.equal(
        Array.from({ length: 8 }, () => 0),
      )
    })
  })

  describe('answers', () => {
    it('each of a pack with its own outcome', async () => {
      await write(put('t', 'text'))
      const results = [
        write(put('a')),
        write(put('b', 'v', { ifVersion: 99 })),
        write(add('t')),
        write(add('n')),
        write(put('c', 'v', { requestId: 's/1' })),
      ]
      expect(await Promise.all(results.map(settled))).to.deep.equal([
        'applied',
        'VERSION_MISMATCH',
        'NOT_A_NUMBER',
        'applied',
        'applied',
      ])
    })

    it('who asked for the log alone at its acknowledgement, before anything is applied', async () => {
      await rig.replica.close()
      const { offset, outcome } = await write(put('a'), 'logged')
      expect([offset as number, outcome, writer.inFlight]).to.deep.equal([0, undefined, 0])
    })

    it('a request id again as it was, with the place of the first record', async () => {
      const first = await write(add('n', { requestId: 's/1' }))
      const [again, fresh] = await Promise.all([
        write(add('n', { requestId: 's/1' })),
        write(add('n', { requestId: 's/2' })),
      ])
      expect(again.outcome).to.deep.equal({ ...first.outcome, duplicate: true })
      expect(fresh.outcome).to.include({ number: 2n, duplicate: false })
    })

    it('a control record when it is applied here', async () => {
      await write(put('a'))
      await writer.control(rig.replica, encodeBarrier(), far())
      expect(rig.replica.state.next).to.equal(2)
    })
  })

  describe('when an append fails', () => {
    it('before anything was appended: all of it is told, and the next goes out', async () => {
      log.plan.push(async () => Promise.reject(unavailable()))
      expect(await Promise.all([write(put('a')), write(put('b'))].map(settled))).to.deep.equal([
        'LOG_UNAVAILABLE',
        'LOG_UNAVAILABLE',
      ])
      expect(await settled(write(put('c')))).to.equal('applied')
      expect([value('a'), value('c'), writer.inFlight]).to.deep.equal([undefined, 'v', 0])
    })

    it('after it was appended: the same ids again apply nothing twice', async () => {
      log.plan.push(async (append) => {
        await append()
        throw unavailable()
      })
      // The replica may have read and applied it before the failure is told: then the answer is right, too.
      const first = await settled(write(add('n', { requestId: 's/1' })))
      expect(first).to.be.oneOf(['LOG_UNAVAILABLE', 'applied'])
      const { outcome } = await write(add('n', { requestId: 's/1' }))
      expect(outcome).to.include({ number: 1n, duplicate: true, offset: 0 })
      expect(value('n')).to.equal('1')
    })

    it('and the log sends it again by itself: a pack is applied once, and answered once', async () => {
      log.plan.push(async (append) => {
        await append()
        await append()
        return append()
      })
      const outcomes = await Promise.all([
        write(add('n')),
        write(add('m')),
        write(add('o', { requestId: 's/1' })),
      ])
      expect(
        outcomes.map(({ outcome }) => (outcome?.status === 'applied' ? outcome.number : outcome?.reason)),
      ).to.deep.equal([1n, 1n, 1n])
      await rig.replica.waiters.wait(3 as never, Infinity)
      expect([value('n'), value('m'), value('o')]).to.deep.equal(['1', '1', '1'])
      expect(rig.effects.map(({ duplicateOf }) => duplicateOf as number | undefined)).to.deep.equal([
        undefined,
        0,
        0,
      ])
    })

    it('with a plain record twice in the log, likewise', async () => {
      log.plan.push(async (append) => {
        await append()
        return append()
      })
      const { outcome } = await write(add('n'))
      expect(outcome).to.include({ number: 1n, duplicate: false })
      await rig.replica.waiters.wait(2 as never, Infinity)
      expect(value('n')).to.equal('1')
    })
  })

  describe('when an append fails for one of its partitions', () => {
    it('answers the others, and goes on with them while it waits for the one', async () => {
      const [sick, well] = await start(2, 1)
      if (sick === undefined || well === undefined) throw new Error('two partitions')
      const to = (rig: Rig, key: string): Promise<Written> =>
        writer.write(rig.replica, put(key), 'logged', far(), told)
      const door = gate()
      log.plan.push(async (append, parts, listener) => {
        const [, other] = parts
        if (other === undefined) throw new Error('two parts')
        listener?.part(1, await append([other]).then(([place]) => place ?? unavailable()))
        listener?.free()
        await door.opened
        listener?.part(0, unavailable())
        throw unavailable()
      })
      const lost = settled(to(sick, 'lost'))
      expect(await settled(to(well, 'a'))).to.equal('logged')
      const waiting = settled(to(sick, 'later'))
      expect(await settled(to(well, 'b'))).to.equal('logged')
      expect(log.shown, 'nothing more to the partition that waits').to.deep.equal(['lost', 'a', 'b'])
      door.open()
      expect(await lost).to.equal('LOG_UNAVAILABLE')
      expect(await waiting).to.equal('logged')
      expect(log.shown).to.deep.equal(['lost', 'a', 'b', 'later'])
      expect(writer.inFlight).to.equal(0)
    })

    it('tells each part once, whatever the log says again', async () => {
      const [one, two] = await start(2, 1)
      if (one === undefined || two === undefined) throw new Error('two partitions')
      log.plan.push(async (append, parts, listener) => {
        const places = await append(parts)
        places.forEach((place, at) => listener?.part(at, place))
        listener?.part(0, unavailable())
        listener?.free()
        listener?.free()
        return places
      })
      const writes = [one, two].map((rig) =>
        settled(writer.write(rig.replica, put('a'), 'logged', far(), told)),
      )
      expect(await Promise.all(writes)).to.deep.equal(['logged', 'logged'])
    })
  })

  describe('holds to deadlines', () => {
    it('before the append: nothing was changed', async () => {
      const door = log.hold()
      const first = write(put('a'))
      await new Promise((resolve) => setImmediate(resolve))
      const late = settled(write(put('b'), 'applied', clock.current.elapsed() + 100))
      const later = write(put('c'))
      clock.current.advance(100)
      expect(await late).to.equal('DEADLINE_EXCEEDED')
      door.open()
      await Promise.all([first, later])
      expect(log.shown, 'it is not appended after its caller has gone').to.deep.equal(['a', 'c'])
      expect(writer.inFlight).to.equal(0)
    })

    it('already passed: it is not appended at all', async () => {
      expect(await settled(write(put('a'), 'applied', clock.current.elapsed()))).to.equal('DEADLINE_EXCEEDED')
      expect(log.appends).to.have.length(0)
    })

    it('after the append: the outcome is unknown, and the others of the pack still get theirs', async () => {
      const door = log.hold()
      const late = write(put('a'), 'applied', clock.current.elapsed() + 100)
      const patient = write(put('b'))
      await new Promise((resolve) => setImmediate(resolve))
      clock.current.advance(100)
      const error = await late.then(() => undefined, TidemarkError.from)
      expect([error?.reason, error?.message]).to.deep.equal([
        'DEADLINE_EXCEEDED',
        'the deadline of the write passed while it was being written: its outcome is unknown',
      ])
      door.open()
      expect(await settled(patient)).to.equal('applied')
      expect(value('a')).to.equal('v')
      expect(writer.inFlight).to.equal(0)
    })
  })

  describe('is bounded', () => {
    it(`by ${WRITES_IN_FLIGHT_MAX} writes`, async () => {
      const door = log.hold()
      const all = Array.from({ length: WRITES_IN_FLIGHT_MAX }, (_, at) => settled(write(put(`k${at}`))))
      expect(await settled(write(put('one more')))).to.equal('OVERLOADED')
      door.open()
      expect(new Set(await Promise.all(all))).to.deep.equal(new Set(['applied']))
      expect(await settled(write(put('one more')))).to.equal('applied')
    })

    it(`by ${WRITE_BYTES_IN_FLIGHT_MAX} bytes`, async () => {
      const door = log.hold()
      const large = 'x'.repeat(1024 * 1024 - 200)
      const all = Array.from({ length: 32 }, (_, at) => settled(write(put(`k${at}`, large))))
      expect(await settled(write(put('one more', large)))).to.equal('OVERLOADED')
      door.open()
      expect(new Set(await Promise.all(all))).to.deep.equal(new Set(['applied']))
      expect(log.appends.length, 'in appends of a bounded size').to.be.greaterThan(3)
    })
  })

  it('lets no partition starve another that shares its lane', async () => {
    const [busy, quiet] = await start(2, 1)
    if (busy === undefined || quiet === undefined) throw new Error('two partitions')
    const door = log.hold()
    const large = 'x'.repeat(1024 * 1024 - 200)
    const first = writer.write(busy.replica, put('first'), 'logged', far(), told)
    await new Promise((resolve) => setImmediate(resolve))
    const flood = Array.from({ length: 31 }, (_, at) =>
      writer.write(busy.replica, put(`k${at}`, large), 'logged', far(), told),
    )
    const small = writer.write(quiet.replica, put('small'), 'logged', far(), told)
    door.open()
    await Promise.all([first, small, ...flood])
    const place = log.appends.findIndex((parts) =>
      parts.some(({ partition }) => partition === (1 as Partition)),
    )
    expect(place, 'the append that has it').to.be.lessThan(3)
    expect(log.appends.length).to.equal(5)
  })

  it('refuses a partition that has stopped, and ends what was on its way to it', async () => {
    const door = log.hold()
    const before = settled(write(put('a')))
    await new Promise((resolve) => setImmediate(resolve))
    rig.replica.stop(new TidemarkError('LOG_TRIMMED', 'gone'))
    expect(await settled(write(put('b')))).to.equal('PARTITION_STOPPED')
    clock.current.advance(50)
    expect(await before).to.equal('PARTITION_STOPPED')
    door.open()
  })

  it('ends what is on its way to a replica that leaves, and never uses an id again when it comes back', async () => {
    await write(put('a'))
    const door = log.hold()
    const sent = settled(write(put('b')))
    await new Promise((resolve) => setImmediate(resolve))
    const waiting = settled(write(put('c')))
    expect(writer.owes(rig.replica)).to.equal(true)
    const back = await rig.restart()
    open.push(back)
    writer.forget(rig.replica)
    expect(await Promise.all([sent, waiting])).to.deep.equal(['WRITE_UNKNOWN', 'NODE_DRAINING'])
    expect(writer.owes(rig.replica)).to.equal(false)
    expect(writer.inFlight).to.equal(0)
    rig = back
    door.open()
    const { outcome } = await write(put('d'))
    expect(outcome).to.include({ status: 'applied', duplicate: false })
    const ids = log.appends.flatMap((parts) =>
      parts.flatMap(({ records }) =>
        records.map(({ headers }) => Buffer.from(headers.get('tm-request-id') ?? []).toString()),
      ),
    )
    expect(ids).to.deep.equal(['w1/0', 'w1/1', 'w1/2'])
  })

  describe('drains', () => {
    it('what is on its way, and takes nothing more', async () => {
      const door = log.hold()
      const all = [write(put('a')), write(put('b'))]
      const drained = writer.drain(60_000)
      expect(await settled(write(put('late')))).to.equal('NODE_DRAINING')
      door.open()
      await drained
      expect(await Promise.all(all.map(settled))).to.deep.equal(['applied', 'applied'])
    })

    it('at its deadline all the same: what was sent is unknown, what was not changed nothing', async () => {
      const door = log.hold()
      const sent = settled(write(put('a')))
      await new Promise((resolve) => setImmediate(resolve))
      const waiting = settled(write(put('b')))
      const drained = writer.drain(100)
      clock.current.advance(100)
      await drained
      expect(await Promise.all([sent, waiting])).to.deep.equal(['WRITE_UNKNOWN', 'NODE_DRAINING'])
      door.open()
      await new Promise((resolve) => setImmediate(resolve))
      expect(log.shown).to.deep.equal(['a'])
      expect(writer.inFlight).to.equal(0)
    })
  })
})
