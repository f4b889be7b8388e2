import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { must } from '../core/assert.ts'
import { TidemarkError } from '../core/errors.ts'
import { SNAPSHOT_ORPHAN_MS } from '../core/limits.ts'
import type { LogRecord, LogTime, Offset, Partition } from '../core/types.ts'
import { NO_HEADERS } from '../core/types.ts'
import { openMemoryLog } from '../log/memory.ts'
import { knownPrefix } from '../replica/catalogue.ts'
import { openMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import {
  TOPIC,
  WANTED,
  chunksOf,
  dump,
  goOn,
  randomRecords,
  reasonOf,
  replicaOf,
  sourceOf,
  streamOf,
} from './copies.fake.ts'
import { openDirectoryStore } from './directory-store.ts'
import { installCopy } from './install.ts'
import { SNAPSHOT_NAME, begunAt, copyName, manifestName, snapshotName } from './manifest.ts'
import type { Manifest } from './manifest.ts'
import { restorable, restoreReplicas, snapshotOffers } from './restore.ts'
import {
  dropOldSnapshots,
  listSnapshots,
  publishSnapshot,
  readManifest,
  storeCopy,
  verifySnapshot,
} from './snapshot.ts'
import { namesOf } from './snapshot-store.contract.ts'
import type { SnapshotStore } from './snapshot-store.ts'
import { trimPartition, trimPoints } from './trim.ts'

const CLUSTER = 'test'
const PARTITION = 0 as Partition
const NOON = Date.UTC(2026, 0, 31, 12)

describe('the name of a snapshot', () => {
  it('sorts by the moment at which it was begun, to the millisecond, and tells it', () => {
    const moments = [NOON, NOON + 1, NOON + 999, NOON + 1000, NOON + 86_400_000]
    const names = moments.map((moment, order) => snapshotName(moment, `${9 - order}zzz`))
    expect(names.toSorted()).to.deep.equal(names)
    expect(names.map(begunAt)).to.deep.equal(moments)
    for (const name of names) expect(name).to.match(SNAPSHOT_NAME)
  })
})

describe('snapshots', () => {
  let root: string
  let snapshots: SnapshotStore
  let records: readonly LogRecord[]
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'tidemark-snapshots-'))
    snapshots = openDirectoryStore(root)
    records = randomRecords(11, 300)
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  const at = (minute: number): string => snapshotName(NOON + minute * 60_000, `r${minute}xy`)

  /** A snapshot of a replica that has applied so many of the records. */
  async function make(minute: number, count: number, logIdentity = 'log-1'): Promise<Manifest> {
    const { store, replica } = await replicaOf(records.slice(0, count))
    const snapshot = at(minute)
    const place = { cluster: CLUSTER, snapshot, topic: TOPIC, partition: PARTITION }
    const copy = await storeCopy(snapshots, place, streamOf(chunksOf({ ...sourceOf(store), logIdentity })))
    await replica.close()
    return publishSnapshot(snapshots, {
      cluster: CLUSTER,
      snapshot,
      logIdentity,
      now: NOON,
      partitions: [copy],
    })
  }

  const pathOf = (name: string): string => join(root, ...name.split('/'))
  const copyPath = (minute: number): string => pathOf(copyName(CLUSTER, at(minute), TOPIC, PARTITION))

  async function flip(path: string, place: (bytes: Buffer) => number): Promise<void> {
    const bytes = await readFile(path)
    const index = place(bytes)
    bytes[index] = must(bytes[index], 'a byte') ^ 1
    await writeFile(path, bytes)
  }

  const restore = async (
    snapshot?: string,
  ): Promise<{ store: Store; from: readonly string[]; troubles: string[] }> => {
    const troubles: string[] = []
    const onTrouble = (sentence: string): void => void troubles.push(sentence)
    const store = openMemoryStore()
    const manifests = await restorable(snapshots, CLUSTER, snapshot, onTrouble)
    const restored = await restoreReplicas(manifests, { snapshots, store, onTrouble })
    return { store, from: restored.map((one) => one.snapshot), troubles }
  }

  it('are listed, the newest first, and read back', async () => {
    expect(await listSnapshots(snapshots, CLUSTER)).to.deep.equal({
      complete: [],
      broken: [],
      unfinished: [],
    })
    const older = await make(1, 100)
    const newer = await make(2, 200)
    const { complete, broken, unfinished } = await listSnapshots(snapshots, CLUSTER)
    expect(complete).to.deep.equal([newer, older])
    expect([broken, unfinished]).to.deep.equal([[], []])
    let [entries, bytes] = [0, 0]
    const damages = await verifySnapshot(snapshots, newer, (some, size) => {
      entries += some
      bytes += size
    })
    expect(damages).to.deep.equal([])
    const size = must(newer.partitions[0], 'a partition').object.size
    expect([entries > 10, bytes]).to.deep.equal([true, size])
  })

  it('restore a replica that goes on with the log as if it had never been away', async () => {
    await make(1, 180)
    const { store, from, troubles } = await restore()
    expect([from, troubles]).to.deep.equal([[at(1)], []])
    const prefix = must(knownPrefix(store, TOPIC, PARTITION), 'the prefix')
    const after = await goOn(store, prefix, records)
    const whole = await replicaOf(records)
    expect(Buffer.compare(after.chain, whole.replica.state.chain)).to.equal(0)
    expect(after.next).to.equal(whole.replica.state.next)
    await whole.replica.close()
  })

  it('that are damaged anywhere are found, and the one before is taken, loudly', async () => {
    await make(1, 100)
    const newer = await make(2, 200)
    const intact = await readFile(copyPath(2))
    const damages: readonly [string, () => Promise<unknown>][] = [
      ['the header', () => flip(copyPath(2), () => 12)],
      ['a length', () => flip(copyPath(2), () => 5)],
      ['the middle', () => flip(copyPath(2), ({ length }) => length >> 1)],
      ['the trailer', () => flip(copyPath(2), ({ length }) => length - 10)],
      ['the last byte', () => flip(copyPath(2), ({ length }) => length - 1)],
      ['the end', () => writeFile(copyPath(2), intact.subarray(0, -7))],
      ['all', () => writeFile(copyPath(2), '')],
      ['bytes behind the end', () => writeFile(copyPath(2), Buffer.concat([intact, Buffer.from('x')]))],
      ['a good copy of another offset', async () => writeFile(copyPath(2), await readFile(copyPath(1)))],
      ['nothing there', () => rm(copyPath(2))],
    ]
    for (const [what, damage] of damages) {
      await damage()
      const found = await verifySnapshot(snapshots, newer)
      expect(found, what).to.have.lengthOf(1)
      expect(['SNAPSHOT_CORRUPT', 'SNAPSHOT_NOT_FOUND'], what).to.include(found[0]?.error.reason)
      const { from, troubles } = await restore()
      expect(from, what).to.deep.equal([at(1)])
      expect(troubles.join(), what).to.contain(at(2)).and.to.contain('the one before is used')
      await writeFile(copyPath(2), intact)
    }
    expect(await verifySnapshot(snapshots, newer)).to.deep.equal([])
  })

  it('whose manifest is damaged, of another cluster or of a newer version are none', async () => {
    await make(1, 100)
    await make(2, 200)
    const path = pathOf(manifestName(CLUSTER, at(2)))
    const intact = await readFile(path, 'utf8')
    for (const [text, reason] of [
      ['', 'SNAPSHOT_CORRUPT'],
      [intact.slice(0, 100), 'SNAPSHOT_CORRUPT'],
      ['{"version": 1}', 'SNAPSHOT_CORRUPT'],
      [intact.replace('"next": ', '"next": -'), 'SNAPSHOT_CORRUPT'],
      [intact.replace('"cluster": "test"', '"cluster": "other"'), 'SNAPSHOT_FOREIGN'],
      [intact.replace(`"snapshot": "${at(2)}"`, `"snapshot": "${at(3)}"`), 'SNAPSHOT_FOREIGN'],
      [intact.replace('"version": 1', '"version": 2'), 'SNAPSHOT_FOREIGN'],
    ] as const) {
      expect(text).not.to.equal(intact)
      await writeFile(path, text)
      const { complete, broken } = await listSnapshots(snapshots, CLUSTER)
      expect(complete.map(({ snapshot }) => snapshot)).to.deep.equal([at(1)])
      expect(broken.map(({ snapshot, error }) => [snapshot, error.reason])).to.deep.equal([[at(2), reason]])
      const { from, troubles } = await restore()
      expect(from).to.deep.equal([at(1)])
      expect(troubles.join()).to.contain(at(2))
    }
    // Of another log: nothing of it is mixed with the others.
    await writeFile(path, intact)
    await make(3, 250, 'log-2')
    expect((await restore(at(2))).from).to.deep.equal([at(2)])
    const [newest] = await restorable(snapshots, CLUSTER, undefined, () => undefined)
    expect(newest?.logIdentity).to.equal('log-2')
  })

  it('that were never finished are none; asked for by name they are not found', async () => {
    await make(1, 100)
    const { store } = await replicaOf(records)
    const place = { cluster: CLUSTER, snapshot: at(2), topic: TOPIC, partition: PARTITION }
    const chunks = chunksOf(sourceOf(store))
    await storeCopy(snapshots, place, streamOf(chunks))
    const { complete, unfinished } = await listSnapshots(snapshots, CLUSTER)
    expect([complete.length, unfinished]).to.deep.equal([1, [at(2)]])
    expect((await restore()).from).to.deep.equal([at(1)])
    expect(await reasonOf(restore(at(2)))).to.equal('SNAPSHOT_NOT_FOUND')
    expect(await reasonOf(readManifest(snapshots, CLUSTER, '../x'))).to.equal('FIELD_INVALID')
    // What breaks off, or is of another replica, never becomes an object.
    const other = { ...place, snapshot: at(3) }
    expect(await reasonOf(storeCopy(snapshots, other, streamOf(chunks.slice(0, -1))))).to.equal(
      'SNAPSHOT_CORRUPT',
    )
    expect(await reasonOf(storeCopy(snapshots, { ...other, topic: 'test.x' }, streamOf(chunks)))).to.equal(
      'SNAPSHOT_FOREIGN',
    )
    expect(await namesOf(snapshots, `${CLUSTER}/${at(3)}/`)).to.deep.equal([])
  })

  it('are published only when all of their copies are there', async () => {
    const good = await make(1, 100)
    const [copy] = good.partitions
    const publish = (partitions: Manifest['partitions'], snapshot = at(1)) =>
      publishSnapshot(snapshots, { cluster: CLUSTER, snapshot, logIdentity: 'log-1', now: NOON, partitions })
    expect(await reasonOf(publish([]))).to.equal('FIELD_INVALID')
    expect(await reasonOf(publish(good.partitions, at(2)))).to.equal('SNAPSHOT_CORRUPT')
    const entry = must(copy, 'a copy')
    const longer = { ...entry, object: { ...entry.object, size: entry.object.size + 1 } }
    expect(await reasonOf(publish([longer]))).to.equal('SNAPSHOT_CORRUPT')
  })

  it('are kept as many as asked for; what nobody finished is dropped after a day', async () => {
    for (const minute of [1, 2, 3, 4]) await make(minute, 50 * minute)
    const place = { cluster: CLUSTER, snapshot: at(0), topic: TOPIC, partition: PARTITION }
    const { store } = await replicaOf(records)
    await storeCopy(snapshots, place, streamOf(chunksOf(sourceOf(store))))
    await writeFile(pathOf(manifestName(CLUSTER, at(2))), 'rubbish')
    await snapshots.put(`other/${at(1)}/x.copy`, streamOf([Buffer.from('not ours')]))
    expect(await dropOldSnapshots(snapshots, CLUSTER, 3, NOON)).to.deep.equal([])
    expect(await dropOldSnapshots(snapshots, CLUSTER, 2, NOON)).to.deep.equal([at(1), at(2)])
    const left = await listSnapshots(snapshots, CLUSTER)
    expect(left.complete.map(({ snapshot }) => snapshot)).to.deep.equal([at(4), at(3)])
    expect(left.unfinished).to.deep.equal([at(0)])
    expect(
      await dropOldSnapshots(snapshots, CLUSTER, 2, begunAt(at(0)) + SNAPSHOT_ORPHAN_MS + 1),
    ).to.deep.equal([at(0)])
    expect(await namesOf(snapshots)).to.deep.equal(
      [
        ...[3, 4].flatMap((minute) => [
          manifestName(CLUSTER, at(minute)),
          copyName(CLUSTER, at(minute), TOPIC, PARTITION),
        ]),
      ]
        .toSorted()
        .toSpliced(0, 0, `other/${at(1)}/x.copy`)
        .toSorted(),
    )
  })

  it('offer a node the copies of one replica, the newest first', async () => {
    await make(1, 100)
    await make(2, 200)
    await flip(copyPath(2), ({ length }) => length >> 1)
    const from: string[] = []
    for await (const offer of snapshotOffers(snapshots, CLUSTER, TOPIC, PARTITION)) {
      const copy = offer.open(new AbortController().signal)
      from.push(
        `${offer.from}: ${await reasonOf(installCopy({ store: openMemoryStore(), wanted: WANTED, copy }))}`,
      )
    }
    expect(from).to.deep.equal([
      `snapshot ${at(2)}: SNAPSHOT_CORRUPT`,
      `snapshot ${at(1)}: nothing was refused`,
    ])
    for await (const offer of snapshotOffers(snapshots, CLUSTER, 'test.other', PARTITION))
      expect.fail(`${offer.from} was offered`)
  })

  describe('and the log', () => {
    const log = openMemoryLog({ clock: () => 1 as LogTime })
    let identity: string
    before(async () => {
      const { identity: made } = await log.createTopic(TOPIC, {
        partitions: 1,
        valueBytesMax: 1000,
        replication: 1,
      })
      identity = made
      const record = { key: Buffer.from('k'), value: Buffer.from('v'), headers: NO_HEADERS }
      await log.append(0, [
        { topic: TOPIC, partition: PARTITION, records: Array.from({ length: 10 }, () => record) },
      ])
    })

    const point = (before: number, topicIdentity = identity) => ({
      topic: TOPIC,
      topicIdentity,
      partition: PARTITION,
      before: before as Offset,
    })

    it('may be trimmed up to the least offset of the kept snapshots', async () => {
      const older = await make(1, 100)
      const newer = await make(2, 200)
      const next = must(older.partitions[0], 'a partition').next
      expect(trimPoints([newer, older]).map(({ before }) => before)).to.deep.equal([next])
      expect(trimPoints([])).to.deep.equal([])
      // A topic that was made anew has nothing in common with the old one.
      const recreated = {
        ...newer,
        partitions: newer.partitions.map((one) => ({ ...one, topicIdentity: 'topic-2' })),
      }
      expect(trimPoints([recreated, older]).map(({ before }) => before)).to.deep.equal([
        must(newer.partitions[0], 'a partition').next,
      ])
    })

    it('is not trimmed where the topic is another, the log shorter, or the replica behind', async () => {
      for (const [wanted, applied] of [
        [point(5, 'topic-0'), undefined],
        [point(11), undefined],
        [point(5), 4],
        [{ ...point(5), topic: 'test.gone' }, undefined],
      ] as const)
        expect(await reasonOf(trimPartition(log, wanted, applied as Offset | undefined, false))).to.equal(
          'TRIM_REFUSED',
        )
      expect((await log.offsets(TOPIC, PARTITION)).start).to.equal(0)
    })

    it('begins where the snapshots end after it was trimmed', async () => {
      expect(await trimPartition(log, point(5), 7 as Offset, true)).to.deep.equal({ start: 0, trimmedTo: 5 })
      expect((await log.offsets(TOPIC, PARTITION)).start).to.equal(0)
      expect(await trimPartition(log, point(5), 7 as Offset, false)).to.deep.equal({ start: 0, trimmedTo: 5 })
      expect((await log.offsets(TOPIC, PARTITION)).start).to.equal(5)
      expect(await trimPartition(log, point(3), undefined, false)).to.deep.equal({ start: 5, trimmedTo: 5 })
    })
  })

  it('fail as the place of the snapshots does', async () => {
    const manifest = await make(1, 100)
    const gone: SnapshotStore = {
      ...snapshots,
      async *get() {
        await Promise.resolve()
        throw new TidemarkError('SNAPSHOT_STORE_UNAVAILABLE', 'gone')
      },
    }
    expect(await reasonOf(verifySnapshot(gone, manifest))).to.equal('SNAPSHOT_STORE_UNAVAILABLE')
    expect(await reasonOf(listSnapshots(gone, CLUSTER))).to.equal('SNAPSHOT_STORE_UNAVAILABLE')
    const restoring = restoreReplicas([manifest], {
      snapshots: gone,
      store: openMemoryStore(),
      onTrouble: () => undefined,
    })
    expect(await reasonOf(restoring)).to.equal('SNAPSHOT_STORE_UNAVAILABLE')
    expect(dump(openMemoryStore())).to.deep.equal([])
  })
})
