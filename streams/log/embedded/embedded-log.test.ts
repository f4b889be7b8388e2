import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { TidemarkError, type Reason } from '../../core/errors.ts'
import { LOG_RUN_BYTES, LOG_TAIL_BYTES_MAX } from '../../core/limits.ts'
import {
  logTime,
  NO_HEADERS,
  offset,
  partition,
  type LogRecord,
  type NewRecord,
  type Offset,
} from '../../core/types.ts'
import { openStore } from '../../store/rocksdb.ts'
import { logContract } from '../log.contract.ts'
import type { Log, TopicDescription } from '../log.ts'
import { openEmbeddedLog } from './embedded-log.ts'
import { PARTITIONS, SETTINGS, TOPIC, type Ends } from './embedded-log.test.child.ts'
import { allOf, droppedKey, encodeNumber, FORMAT_KEY, runKey, runsOf } from './rows.ts'

const CHILD = join(import.meta.dirname, 'embedded-log.test.child.js')
const clock = (): ReturnType<typeof logTime> => logTime(1_000)
const p0 = partition(0)

logContract('embedded', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-log-'))
  let log = await openEmbeddedLog({ directory, clock })
  return {
    log,
    async restart() {
      await log.close()
      log = await openEmbeddedLog({ directory, clock })
      return log
    },
    async dispose() {
      await log.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
})

describe('embedded log', () => {
  let root: string
  let directory: string
  let directories = 0
  let log: Log
  let topic: TopicDescription

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'tidemark-log-'))
  })

  beforeEach(async () => {
    directories += 1
    directory = join(root, String(directories))
    log = await openEmbeddedLog({ directory, clock })
    topic = await log.createTopic('c.t', SETTINGS)
  })

  afterEach(async () => {
    await log.close()
  })

  after(async () => {
    await rm(root, { recursive: true, force: true })
  })

  const records = (count: number, bytes = 10): NewRecord[] =>
    Array.from({ length: count }, (_, n) => ({
      key: Buffer.from(`key-${n}`),
      value: Buffer.alloc(bytes, n & 255),
      headers: NO_HEADERS,
    }))

  const append = async (more: readonly NewRecord[]): Promise<Offset | undefined> =>
    (await log.append(0, [{ topic: 'c.t', partition: p0, records: more }]))[0]?.firstOffset

  const readAll = async (from = 0): Promise<readonly LogRecord[]> => {
    const { end } = await log.offsets('c.t', p0)
    const reader = log.read('c.t', p0, offset(from), topic)
    const all: LogRecord[] = []
    for (let next: number = from; next < end;) {
      const batch = await reader.next()
      all.push(...batch.records)
      next = batch.nextOffset
    }
    reader.close()
    return all
  }

  const reopen = async (): Promise<void> => {
    await log.close()
    log = await openEmbeddedLog({ directory, clock })
  }

  it('stamps the time of its clock, which never steps back in a partition, over restarts too', async () => {
    const times = [50, 30, 90].map(logTime)
    await log.close()
    log = await openEmbeddedLog({ directory, clock: () => times.shift() ?? logTime(1) })
    for (let n = 0; n < 3; n += 1) await append(records(1))
    await log.close()
    log = await openEmbeddedLog({ directory, clock: () => logTime(2) })
    await append(records(1))
    await log.trim('c.t', p0, offset(4))
    await log.close()
    log = await openEmbeddedLog({ directory, clock: () => logTime(3) })
    await append(records(1))
    await append(records(1))
    const reader = log.read('c.t', p0, offset(4), topic)
    expect((await reader.next()).records[0]?.time).to.equal(90)
    reader.close()
  })

  it('cuts large appends into runs, and reads from any place inside them', async () => {
    const value = LOG_RUN_BYTES / 8
    await append(records(50, value))
    await reopen()
    for (const from of [0, 1, 8, 9, 31, 49]) {
      const read = await readAll(from)
      expect(read.map((record) => record.offset)).to.deep.equal(
        Array.from({ length: 50 - from }, (_, n) => from + n),
      )
      expect(read.every((record) => record.value?.[0] === record.offset)).to.equal(true)
    }
  })

  it('feeds a reader at the end from memory, and one that lags from disk, without a gap between', async () => {
    const reader = log.read('c.t', p0, offset(0), topic)
    const seen: number[] = []
    const take = async (): Promise<void> => {
      for (const record of (await reader.next()).records) seen.push(record.offset)
    }
    await append(records(3))
    await take()
    // More than the tail keeps: the oldest of it are on disk only.
    for (let n = 0; n < 40; n += 1) await append(records(4, LOG_TAIL_BYTES_MAX / 64))
    const end = 3 + 40 * 4
    while (seen.length < end) await take()
    await append(records(2))
    await take()
    expect(seen).to.deep.equal(Array.from({ length: end + 2 }, (_, n) => n))
    reader.close()
  })

  it('gives several parts for one partition offsets that follow each other', async () => {
    const part = { topic: 'c.t', partition: p0, records: records(3) }
    const appended = await log.append(0, [part, { ...part, records: [] }, part])
    expect(appended.map((one) => one.firstOffset)).to.deep.equal([0, 3, 3])
    expect(await readAll()).to.have.length(6)
  })

  it('appends nothing of an append with a value that is too large', async () => {
    const large = log.append(0, [
      { topic: 'c.t', partition: partition(1), records: records(2) },
      { topic: 'c.t', partition: p0, records: records(1, 2 << 20) },
    ])
    expect(await reasonOf(large)).to.equal('VALUE_TOO_LARGE')
    expect(await log.verifiedEnds('c.t', [p0, partition(1)])).to.deep.equal(
      new Map([
        [p0, 0],
        [partition(1), 0],
      ]),
    )
  })

  it('says that it is unsafe where it does not sync', async () => {
    expect(topic.unsafe).to.deep.equal([])
    await log.close()
    log = await openEmbeddedLog({ directory, clock, sync: false })
    expect((await log.describeTopic('c.t'))?.unsafe).to.have.length(1)
  })

  it('removes the rows of a deleted topic, also where the process ended in the middle of that', async () => {
    await append(records(10))
    const other = await log.createTopic('c.other', SETTINGS)
    await log.append(0, [{ topic: 'c.other', partition: p0, records: records(10) }])
    await log.deleteTopic('c.t')
    await log.deleteTopic('c.t')
    await log.close()
    let store = await openStore(directory)
    const batch = store.batch()
    batch.put(droppedKey(77), new Uint8Array(0))
    batch.put(runKey(77, p0, offset(0)), new Uint8Array(1))
    store.write(batch)
    await store.close()
    log = await openEmbeddedLog({ directory, clock })
    expect(await log.listTopics('')).to.deep.equal(['c.other'])
    expect(await log.describeTopic('c.other')).to.deep.equal(other)
    await log.close()
    store = await openStore(directory)
    for (const number of [1, 77])
      for (const range of allOf(number)) {
        const cursor = store.cursor(range)
        expect(cursor.next(1), `rows of topic ${number}`).to.deep.equal([])
        cursor.close()
      }
    await store.close()
    log = await openEmbeddedLog({ directory, clock })
  })

  it('is refused with STORE_LOCKED while it is open elsewhere', async () => {
    expect(await reasonOf(openEmbeddedLog({ directory, clock }))).to.equal('STORE_LOCKED')
  })

  it('is refused with FORMAT_TOO_NEW where a newer version wrote it', async () => {
    await log.close()
    const store = await openStore(directory)
    const batch = store.batch()
    batch.put(FORMAT_KEY, encodeNumber(2))
    store.write(batch)
    await store.close()
    expect(await reasonOf(openEmbeddedLog({ directory, clock }))).to.equal('FORMAT_TOO_NEW')
  })

  it('refuses everything after close', async () => {
    await log.close()
    await log.close()
    expect(await reasonOf(append(records(1)))).to.equal('NODE_DRAINING')
    expect(await reasonOf(log.offsets('c.t', p0))).to.equal('NODE_DRAINING')
    expect(await reasonOf(log.createTopic('c.u', SETTINGS))).to.equal('NODE_DRAINING')
    expect(await reasonOf(log.read('c.t', p0, offset(0), topic).next())).to.equal('CANCELLED')
    expect(log.healthy).to.equal(false)
  })

  describe('damage', () => {
    it('of one record of the write-ahead log is STORE_CORRUPT, never a shorter log', async () => {
      for (let n = 0; n < 20; n += 1) await append(records(5))
      const copy = `${directory}-copy`
      await cp(directory, copy, { recursive: true })
      const name = (await readdir(copy)).find((one) => one.endsWith('.log')) ?? ''
      const content = await readFile(join(copy, name))
      const middle = content.length >> 1
      content[middle] = (content[middle] ?? 0) ^ 1
      await writeFile(join(copy, name), content)
      const failure = await openEmbeddedLog({ directory: copy, clock }).catch((caught: unknown) => caught)
      expect(failure).to.have.property('reason', 'STORE_CORRUPT')
      expect(failure).to.have.property('message').that.includes('restore the directory from a backup')
    })

    it('of a run stops its reader, and a run that is missing or in the wrong place is no gap', async () => {
      for (let n = 0; n < 4; n += 1) await append(records(5))
      await log.close()
      const store = await openStore(directory)
      const cursor = store.cursor(runsOf(1, p0))
      const runs = cursor.next(10)
      cursor.close()
      expect(runs).to.have.length(4)
      const damages: readonly ((n: number) => Uint8Array | undefined)[] = [
        () => undefined,
        () => runs[0]?.value,
        (n) => runs[n]?.value.map((byte, at) => (at === 20 ? byte ^ 1 : byte)),
      ]
      await store.close()
      for (const damage of damages) {
        const copy = `${directory}-${damages.indexOf(damage)}`
        await cp(directory, copy, { recursive: true })
        const damaged = await openStore(copy)
        const batch = damaged.batch()
        const value = damage(1)
        if (value === undefined) batch.delete(runKey(1, p0, offset(5)))
        else batch.put(runKey(1, p0, offset(5)), value)
        damaged.write(batch)
        await damaged.close()
        log = await openEmbeddedLog({ directory: copy, clock })
        expect(await reasonOf(readAll())).to.equal('STORE_CORRUPT')
        expect(await reasonOf(readAll(6))).to.equal('STORE_CORRUPT')
        expect(await readAll(10)).to.have.length(10)
        await log.close()
      }
    })
  })

  describe('on a full disk', () => {
    it('refuses appends with DISK_FULL, appends nothing of them, reads on, and resumes when there is room', async function () {
      this.timeout(120_000)
      const mounted = `${directory}-full`
      const size = ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', mounted]
      if (!run('mkdir', mounted) || !run('mount', ...size)) {
        console.warn(
          'SKIPPED for want of the right to mount a tmpfs (root on Linux): embedded log on a full disk',
        )
        this.skip()
      }
      try {
        await log.close()
        log = await openEmbeddedLog({ directory: join(mounted, 'log'), clock })
        topic = await log.createTopic('c.t', SETTINGS)
        await writeFile(join(mounted, 'ballast'), Buffer.alloc(40 << 20))
        let end = 0
        const attempt = async (): Promise<Reason | 'no error'> => reasonOf(append(records(3, 300_000)))
        let reason: string
        while ((reason = await attempt()) === 'no error') end += 3
        expect(reason).to.equal('DISK_FULL')
        expect(end).to.be.at.least(30)
        expect(await log.offsets('c.t', p0)).to.deep.equal({ start: 0, end })
        expect(await readAll()).to.have.length(end)
        expect(await attempt()).to.equal('DISK_FULL')
        await rm(join(mounted, 'ballast'))
        while ((reason = await attempt()) === 'DISK_FULL')
          await new Promise((resolve) => setTimeout(resolve, 50))
        expect(reason).to.equal('no error')
        await log.close()
        log = await openEmbeddedLog({ directory: join(mounted, 'log'), clock })
        expect(await log.offsets('c.t', p0)).to.deep.equal({ start: 0, end: end + 3 })
        expect(await readAll()).to.have.length(end + 3)
      } finally {
        await log.close()
        run('umount', mounted)
      }
    })
  })

  describe('killed with SIGKILL while it appends', () => {
    it('holds all that was acknowledged, in order and without a hole, time after time', async function () {
      this.timeout(60_000)
      const killed = `${directory}-killed`
      let appended = 0
      let acknowledgements = 0
      for (let round = 0; round < 24; round += 1) {
        const child = fork(CHILD, ['append', killed])
        let acknowledged: Ends = []
        child.on('message', (ends) => {
          acknowledged = ends as Ends
          acknowledgements += 1
        })
        await once(child, 'message')
        await new Promise((resolve) => setTimeout(resolve, (round * 29) % 90))
        const ended = once(child, 'exit')
        child.kill('SIGKILL')
        await ended
        log = await openEmbeddedLog({ directory: killed, clock })
        const description = await log.createTopic(TOPIC, SETTINGS)
        appended = 0
        for (let place = 0; place < PARTITIONS; place += 1) {
          const { start, end } = await log.offsets(TOPIC, partition(place))
          expect(start).to.equal(0)
          expect(end, `partition ${place}, round ${round}`).to.be.at.least(acknowledged[place] ?? 0)
          appended += end
          const reader = log.read(TOPIC, partition(place), start, description)
          for (let next = 0; next < end;)
            for (const record of (await reader.next()).records) {
              if (record.offset !== next || Buffer.from(record.value ?? []).toString() !== String(next))
                expect.fail(
                  `the record at ${next} has offset ${record.offset}, value ${String(record.value)}`,
                )
              next += 1
            }
          reader.close()
        }
        await log.close()
      }
      expect(acknowledgements).to.be.at.least(24)
      expect(appended).to.be.at.least(100)
    })
  })
})

const run = (command: string, ...args: readonly string[]): boolean => spawnSync(command, args).status === 0

async function reasonOf(promise: Promise<unknown>): Promise<Reason | 'no error'> {
  try {
    await promise
  } catch (caught) {
    if (caught instanceof TidemarkError) return caught.reason
    throw caught
  }
  return 'no error'
}
