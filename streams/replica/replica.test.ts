import { expect } from 'chai'
import { BehaviorSubject, firstValueFrom } from 'rxjs'
import { encodeFormat, encodeLead } from '../core/encode.ts'
import { TidemarkError } from '../core/errors.ts'
import { chunkKey, metaKey, rowKey, sessionKey } from '../core/keys.ts'
import { decodeState } from '../core/state.ts'
import { draft, logged } from '../core/testing/records.ts'
import type { Epoch, LogRecord, NewRecord, Offset } from '../core/types.ts'
import type { Freshness } from '../face.ts'
import { DEFAULT_SETTINGS } from '../keyspace-settings.ts'
import { LocalKeyspace } from '../keyspace.ts'
import type { Log, LogBatch } from '../log/log.ts'
import { emptyDisk, openMemoryStore } from '../store/memory.ts'
import type { Batch, Store } from '../store/store.ts'
import { systemClock } from '../system.ts'
import { getRow } from './read.ts'
import { KEYSPACE, PREFIX, ScriptedLog, openRig, silent } from './replica.fake.ts'
import type { Rig, RigOptions } from './replica.fake.ts'
import { Writer } from './writer.ts'

const inOrder = (drafts: readonly NewRecord[], from = 0): readonly LogRecord[] =>
  drafts.map((record, at) => logged(from + at, from + at, record))
const puts = (count: number, from = 0): readonly LogRecord[] =>
  inOrder(
    Array.from({ length: count }, (_, at) => draft(`k${from + at}`, `v${from + at}`)),
    from,
  )
const value = ({ replica }: Rig, key: string): string | undefined => {
  const row = getRow(replica, Buffer.from(key))
  return row === undefined ? undefined : Buffer.from(row.value).toString()
}
/** The reason why the replica stopped, once it has. */
async function stopped({ replica }: Rig): Promise<string | undefined> {
  await replica.waiters.wait(Number.MAX_SAFE_INTEGER as Offset, Infinity).catch(() => undefined)
  return replica.stopped?.reason
}

/** Calls `before` ahead of each write of the store; what it throws is what the write throws. */
function watched(before: (batch: Batch) => void, store = openMemoryStore()): Store {
  return {
    ...store,
    write: (batch, options) => {
      before(batch)
      store.write(batch, options)
    },
  }
}
const diskFull = (): never => {
  throw new TidemarkError('DISK_FULL', 'no space left on the device')
}

describe('replica', () => {
  const open: Rig[] = []
  const rigOf = (options: RigOptions = {}): Rig => {
    const rig = openRig(options)
    open.push(rig)
    return rig
  }
  afterEach(async () => {
    for (const { replica } of open.splice(0)) await replica.close()
  })

  it('stops for damage that a read finds, and has nothing due then', async () => {
    const disk = emptyDisk()
    const rig = rigOf({ store: openMemoryStore(disk) })
    rig.script.append(puts(3))
    await rig.caughtUp()
    for (const entry of disk.chunks.flat()) disk.damaged.add(entry)
    expect(() => getRow(rig.replica, Buffer.from('k1')))
      .to.throw(TidemarkError)
      .with.property('reason', 'PARTITION_STOPPED')
    expect(rig.replica.stopped?.reason).to.equal('STORE_CORRUPT')
    expect(rig.replica.nextDue()).to.equal(Infinity)
  })

  it('applies what the log holds, and goes on when more comes', async () => {
    const rig = rigOf()
    rig.script.append(puts(3))
    await rig.caughtUp()
    rig.script.append(puts(2, 3))
    await rig.caughtUp()
    expect([value(rig, 'k0'), value(rig, 'k4'), value(rig, 'k5')]).to.deep.equal(['v0', 'v4', undefined])
    expect(rig.replica.state).to.include({ next: 5, rows: 5 })
    expect(rig.replica.status).to.equal('live')
  })

  it('is restoring until it has applied what stood in the log when it was opened', async () => {
    const script = new ScriptedLog()
    script.append(puts(3))
    script.batchRecords = () => 1
    const rig = rigOf({ script })
    expect(rig.replica.status).to.equal('restoring')
    await rig.replica.waiters.wait(1 as Offset, Infinity)
    expect(rig.replica.status).to.equal('restoring')
    await rig.caughtUp()
    expect(rig.replica.status).to.equal('live')
    rig.script.append(puts(1, 3))
    expect(rig.replica.status).to.equal('live')
    await rig.caughtUp()
  })

  it('steps over offsets that hold no record, at the end of a batch too', async () => {
    const rig = rigOf()
    const batches: LogBatch[] = [
      { records: [logged(2, 1, draft('a', '1'))], nextOffset: 9 as Offset, logEnd: 9 as Offset, bytes: 2 },
      { records: [], nextOffset: 12 as Offset, logEnd: 12 as Offset, bytes: 0 },
    ]
    const log: Log = {
      ...rig.script.log,
      offsets: async () => Promise.resolve({ start: 0 as Offset, end: 12 as Offset }),
      read: () => ({
        next: async () => batches.shift() ?? new Promise<never>(() => undefined),
        close: () => undefined,
      }),
    }
    const gaps = rigOf({ log })
    await gaps.replica.waiters.wait(12 as Offset, Infinity)
    expect(gaps.replica.state.next).to.equal(12)
    expect(decodeState(gaps.store.getMany([metaKey(PREFIX)])[0] ?? Buffer.alloc(0)).next).to.equal(12)
    expect(gaps.replica.status).to.equal('live')
  })

  it('asks the log for more only when everything before was applied', async () => {
    let room = false
    let asked: () => void = () => undefined
    const waiting = new Promise<void>((resolve) => (asked = resolve))
    const store = watched(() => {
      if (room) return
      asked()
      diskFull()
    })
    const script = new ScriptedLog()
    script.batchRecords = () => 1
    script.append(puts(500))
    const rig = rigOf({
      script,
      store,
      clock: { ...systemClock, sleep: () => new Promise((resolve) => setTimeout(resolve, 5)) },
    })
    await waiting
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(script.reads, 'batches that were read while the disk was full').to.equal(1)
    room = true
    await rig.caughtUp()
    expect(rig.replica.state.rows).to.equal(500)
  })

  describe('while the disk is full', () => {
    it('waits, tells so once, loses nothing, and serves reads', async () => {
      const said: string[] = []
      let full = false
      let tries = 0
      const store = watched(() => {
        if (!full) return
        tries += 1
        diskFull()
      })
      const rest = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
      const rig = rigOf({
        store,
        clock: { ...systemClock, sleep: rest },
        telemetry: { ...silent, trouble: (text) => said.push(text), recovered: (text) => said.push(text) },
      })
      rig.script.append(puts(5))
      await rig.caughtUp()
      full = true
      rig.script.append(puts(5, 5))
      while (tries < 10) await rest()
      expect([rig.replica.state.next, value(rig, 'k4'), value(rig, 'k5'), rig.replica.stopped]).to.deep.equal(
        [5, 'v4', undefined, undefined],
      )
      // Who needs what it cannot apply goes to another replica.
      for (const call of [
        rig.replica.waiters.wait(10 as Offset, Infinity),
        new Writer(rig.script.log, systemClock, 'w').write(
          rig.replica,
          { kind: 'put', key: Buffer.from('k'), value: Buffer.from('v') },
          'logged',
          Infinity,
          () => 0,
        ),
      ])
        expect(await call.catch((caught: unknown) => TidemarkError.from(caught).reason)).to.equal('DISK_FULL')
      full = false
      await rig.caughtUp()
      expect(rig.replica.waiters.held).to.equal(undefined)
      expect([rig.replica.state.rows, value(rig, 'k9')]).to.deep.equal([10, 'v9'])
      expect(said).to.deep.equal([
        'the disk is full: applying waits until there is room',
        'the disk has room again: applying goes on',
      ])
    })

    it('waits with stepping over a gap, too', async () => {
      let tries = 0
      const store = watched(() => {
        if (++tries < 5) diskFull()
      })
      const script = new ScriptedLog()
      const log: Log = {
        ...script.log,
        read: () => {
          let read = false
          return {
            next: async () => {
              if (read) return new Promise<never>(() => undefined)
              read = true
              return { records: [], nextOffset: 7 as Offset, logEnd: 7 as Offset, bytes: 0 }
            },
            close: () => undefined,
          }
        },
      }
      const rig = rigOf({ log, store, clock: { ...systemClock, sleep: async () => Promise.resolve() } })
      while (rig.replica.state.next < 7) await new Promise((resolve) => setImmediate(resolve))
      expect([rig.replica.stopped, rig.replica.waiters.held]).to.deep.equal([undefined, undefined])
    })

    it('leaves old history where it is', async () => {
      let full = false
      const inner = openMemoryStore()
      // Room for what is small and no deletion of history: as a disk with a few bytes left.
      const store = watched((batch) => {
        if (full && batch.size > 40) diskFull()
      }, inner)
      const rig = rigOf({ store, bounds: { historyRecords: 50, segmentBytes: 1 } })
      rig.script.batchRecords = () => 5
      rig.script.append(puts(50))
      await rig.caughtUp()
      full = true
      rig.script.append(puts(60, 50))
      await rig.caughtUp()
      expect(rig.replica.stopped).to.equal(undefined)
      full = false
      rig.script.append(puts(5, 110))
      await rig.caughtUp()
      expect(rig.replica.state.historyStart).to.be.greaterThan(60)
    })

    it('can be closed', async () => {
      const rig = rigOf({
        store: watched(diskFull),
        clock: { ...systemClock, sleep: async () => new Promise((resolve) => setImmediate(resolve)) },
      })
      rig.script.append(puts(1))
      await new Promise((resolve) => setImmediate(resolve))
      await rig.replica.close()
    })
  })

  describe('stops, says why, and refuses', () => {
    const freshness = (): Freshness => ({ consistency: 'eventual', deadline: Date.now() + 1000 })
    const keyspaceOf = ({ replica, script }: Rig): LocalKeyspace =>
      new LocalKeyspace({
        name: KEYSPACE,
        topic: 'test.default',
        partitions: 1,
        replication: 1,
        replicas: new Map([[replica.state.partition, replica]]),
        settings: () => ({ ...DEFAULT_SETTINGS, valueBytesMax: 1024 }),
        log: script.log,
        writer: new Writer(script.log, systemClock, 'w'),
        clock: systemClock,
        draining$: new BehaviorSubject(false),
        watchers: { count: 0 },
        pasts: { count: 0 },
      })
    async function expectRefusal(rig: Rig, cause: string): Promise<void> {
      expect(await stopped(rig)).to.equal(cause)
      expect(rig.replica.status).to.equal('stopped')
      const keyspace = keyspaceOf(rig)
      const key = Buffer.from('k0')
      const everything = { start: Buffer.alloc(0), end: undefined }
      const calls: readonly (() => Promise<unknown>)[] = [
        () => keyspace.get(key, freshness()),
        () => keyspace.getMany([key], freshness()),
        () => keyspace.getAt(key, 0 as Offset, freshness()),
        () => keyspace.history(key, 1, freshness()),
        () => keyspace.scan({ range: everything, ...freshness() }),
        () => keyspace.watch({ range: everything }),
        () => keyspace.outcome(0 as never, 0 as Offset, Date.now()),
        () => keyspace.write({ kind: 'delete', key }, { deadline: Date.now() + 1000 }),
      ]
      for (const call of calls) {
        const error = await call().then(() => undefined, TidemarkError.from)
        expect(error?.reason, String(call)).to.equal('PARTITION_STOPPED')
        expect(error?.metadata['cause'], String(call)).to.equal(cause)
      }
      expect(
        await firstValueFrom(rig.replica.applied$).catch(
          (caught: unknown) => TidemarkError.from(caught).reason,
        ),
      ).to.equal('PARTITION_STOPPED')
      await rig.replica.close()
    }

    it('at a format of the future, after it has applied what stood before', async () => {
      const rig = rigOf()
      const epoch = 3 as Epoch
      const future = encodeFormat(
        { version: 2, separator: Buffer.alloc(0), valueBytesMax: 0, packingDisabled: false },
        epoch,
      )
      rig.script.append([...puts(3), logged(3, 3, encodeLead('n', 'i')), logged(4, 4, future), ...puts(2, 5)])
      await expectRefusal(rig, 'FORMAT_TOO_NEW')
      expect(rig.replica.state).to.include({ next: 4, rows: 3 })
      const again = await rig.restart()
      open.push(again)
      expect(await stopped(again), 'and again after a restart').to.equal('FORMAT_TOO_NEW')
      expect(again.replica.state.next).to.equal(4)
    })

    it('where a row is not what was written', async () => {
      const rig = rigOf()
      rig.script.append(puts(3))
      await rig.caughtUp()
      const damage = rig.store.batch()
      damage.put(rowKey(PREFIX, Buffer.from('k1')), Buffer.from('ff', 'hex'))
      rig.store.write(damage)
      rig.script.append([logged(3, 3, draft('k1', 'new'))])
      await expectRefusal(rig, 'STORE_CORRUPT')
      expect(rig.replica.state.next, 'the record was not applied').to.equal(3)
    })

    it('where a session is not what was written', async () => {
      const first = rigOf()
      first.script.append([logged(0, 0, draft('a', '1', { 'tm-request-id': 's/1' }))])
      await first.caughtUp()
      await first.replica.close()
      const damage = first.store.batch()
      damage.put(sessionKey(PREFIX, 'ss'), Buffer.from('00', 'hex'))
      damage.put(chunkKey(PREFIX, 'ss', 0), Buffer.from('00', 'hex'))
      first.store.write(damage)
      const rig = rigOf({ script: first.script, store: first.store })
      rig.script.append([logged(1, 1, draft('a', '2', { 'tm-request-id': 's/2' }))])
      await expectRefusal(rig, 'STORE_CORRUPT')
    })

    it('where a piece of a session is missing: an id that was seen would count as new', async () => {
      const first = rigOf()
      const seen = (at: number): LogRecord => logged(at, at, draft('a', '1', { 'tm-request-id': `s/${at}` }))
      first.script.append(Array.from({ length: 70 }, (_, at) => seen(at)))
      await first.caughtUp()
      await first.replica.close()
      const damage = first.store.batch()
      damage.delete(chunkKey(PREFIX, 'ss', 0))
      first.store.write(damage)
      const rig = rigOf({ script: first.script, store: first.store })
      rig.script.append([logged(70, 70, draft('a', '2', { 'tm-request-id': 's/3' }))])
      await expectRefusal(rig, 'STORE_CORRUPT')
      expect(rig.replica.state.next).to.equal(70)
    })

    it('where the store says that it is damaged', async () => {
      const rig = rigOf({
        store: watched(() => {
          throw new TidemarkError('STORE_CORRUPT', 'checksum mismatch in 000012.sst')
        }),
      })
      rig.script.append(puts(1))
      await expectRefusal(rig, 'STORE_CORRUPT')
    })

    for (const reason of ['LOG_TRIMMED', 'LOG_TRUNCATED', 'TOPIC_RECREATED', 'PARTITIONS_CHANGED'] as const)
      it(`where the log fails with ${reason}`, async () => {
        const rig = rigOf()
        rig.script.append(puts(2))
        await rig.caughtUp()
        rig.script.fail(new TidemarkError(reason, 'as told'))
        await expectRefusal(rig, reason)
        expect(rig.replica.state.next).to.equal(2)
      })

    it('ends those who wait', async () => {
      const rig = rigOf()
      const waiting = rig.replica.waiters
        .wait(9 as Offset, Infinity)
        .catch((caught: unknown) => TidemarkError.from(caught).reason)
      rig.script.fail(new TidemarkError('LOG_TRIMMED', 'gone'))
      expect(await waiting).to.equal('PARTITION_STOPPED')
    })
  })

  describe('tells', () => {
    it('nobody before it is written, and everybody in one turn with the state', async () => {
      const seen: string[] = []
      const script = new ScriptedLog()
      const store = watched(() => seen.push('write'))
      const rig = rigOf({ script, store })
      const { replica } = rig
      replica.expect('s/1', ({ offset }) => seen.push(`expected ${offset} at ${replica.state.next}`))
      replica.applied$.subscribe(({ effects, next }) =>
        seen.push(`applied ${effects.length} to ${next} at ${replica.state.next}`),
      )
      void replica.waiters.wait(2 as Offset, Infinity).then(() => seen.push('reached'))
      script.append([
        logged(0, 0, draft('a', '1')),
        logged(1, 0, draft('a', '2', { 'tm-request-id': 's/1' })),
      ])
      await rig.caughtUp()
      expect(seen).to.deep.equal(['write', 'expected 1 at 2', 'applied 2 to 2 at 2', 'reached'])
    })

    it('a watcher that looks between two batches of what both brought', async () => {
      // Whoever sees the new offset must find the record in the ring: looks at every turn of the microtask queue.
      const rig = rigOf()
      rig.script.batchRecords = () => 1
      const missing: number[] = []
      let seen = 0
      let done = false
      const look = async (): Promise<void> => {
        while (!done) {
          const { next } = rig.replica.state
          for (; seen < next; seen++)
            if ([...rig.replica.recent.since(seen as Offset)][0]?.offset !== seen) missing.push(seen)
          await Promise.resolve()
          if (seen % 50 === 49) await new Promise((resolve) => setImmediate(resolve))
        }
      }
      rig.script.append(puts(200))
      const looking = look()
      await rig.caughtUp()
      done = true
      await looking
      expect(missing).to.deep.equal([])
    })

    it('all who expect a request id, once, but not who took it back', async () => {
      const rig = rigOf()
      const heard: string[] = []
      rig.replica.expect('s/1', () => heard.push('first'))
      const forget = rig.replica.expect('s/1', () => heard.push('second'))
      rig.replica.expect('s/1', () => heard.push('third'))
      rig.replica.expect('s/2', () => heard.push('other'))
      forget()
      rig.script.append([
        logged(0, 0, draft('a', '1', { 'tm-request-id': 's/1' })),
        logged(1, 0, draft('a', '1', { 'tm-request-id': 's/1' })),
      ])
      await rig.caughtUp()
      expect(heard).to.deep.equal(['first', 'third'])
    })
  })

  it('knows when the next row is due', async () => {
    const rig = rigOf()
    expect(rig.replica.nextDue()).to.equal(Infinity)
    const ttl = (key: string, ms: number): NewRecord => draft(key, 'v', { 'tm-ttl-ms': String(ms) })
    const steps: readonly (readonly [NewRecord, number, number])[] = [
      [ttl('a', 100), 0, 100],
      [ttl('b', 50), 0, 50],
      [draft('b', null), 0, 100],
      [ttl('a', 300), 0, 300],
      [draft('c', '1'), 0, 300],
      [draft('a', '1'), 0, Infinity],
      [ttl('d', 5), 0, 5],
      [draft('c', '1'), 10, Infinity],
    ]
    for (const [at, [record, time, due]] of steps.entries()) {
      rig.script.append([logged(at, time, record)])
      await rig.caughtUp()
      expect(rig.replica.nextDue(), `after record ${at}`).to.equal(due)
    }
  })

  it('expires nothing because of a time that no clock shows', async () => {
    const rig = rigOf()
    const many = Array.from({ length: 20 }, (_, at) => draft(`k${at}`, 'v', { 'tm-ttl-ms': '1000' }))
    rig.script.append(inOrder(many))
    await rig.caughtUp()
    rig.script.append([logged(20, 2 ** 60, draft('x', 'y'))])
    await rig.caughtUp()
    expect(rig.replica.state).to.include({ rows: 21, time: 19 })
  })
})
