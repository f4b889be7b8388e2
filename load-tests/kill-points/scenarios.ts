/**
 * What a node does while a failpoint may kill it. Which kill points a scenario comes to is found out by tracing it, never written down;
 * a kill point that none comes to is a fault of this file.
 */
import { cp, mkdir, readdir, truncate, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createSnapshot, trimLog } from '../../services/cli/snapshot-create.ts'
import { messagesOf, snapshotClient } from '../../services/snapshot-calls.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { SNAPSHOT_ORPHAN_MS } from '../../streams/core/limits.ts'
import type { Partition } from '../../streams/core/types.ts'
import { copyName, snapshotName } from '../../streams/snapshot/manifest.ts'
import { begin, ready, type Life } from './life.ts'
import type { Stage } from './stage.ts'

export interface Scenario {
  readonly name: string
  readonly partitions?: number
  /** It makes a new data directory each time. */
  readonly fresh?: true
  /** Before the life that may be killed. */
  readonly prepare?: (stage: Stage) => Promise<void>
  /** Another process than the node's; it needs not get ready. */
  readonly begin?: (stage: Stage, failpoint: string) => Life
  /** Once the node is ready and was checked. Whatever it throws is forgiven where the process is dead. */
  readonly act?: (stage: Stage, life: Life) => Promise<unknown>
}

export const over = (life: Life) => (): boolean => life.over
const QUIET = { onProgress: () => undefined, onTrouble: () => undefined }
const WRITES = 120
export const MIB = 1 << 20

export const firstStart: Scenario = {
  name: 'first start',
  fresh: true,
  prepare: (stage) => stage.wipe(),
  /** Not those of the ledger: nothing may come in again after the next wipe. */
  act: (stage) =>
    stage.mortally((db) => Promise.all(Array.from({ length: WRITES }, (_, n) => db.put(`first-${n}`, 'x')))),
}

export const writes: Scenario = {
  name: 'writes',
  act: (stage, life) => stage.ledger.write(WRITES, over(life)),
}

export const stop: Scenario = {
  name: 'stop',
  async act(stage, life) {
    await stage.ledger.write(WRITES / 4, over(life))
    await life.stop('SIGTERM')
  },
}

export const keyspaces: Scenario = {
  name: 'keyspaces',
  act: (stage) =>
    stage.mortally(async (db) => {
      // What a kill left of an earlier one.
      for (const { name } of await db.keyspaces.list())
        if (name !== 'default') await db.keyspaces.delete(name, name)
      const name = `k${Date.now().toString(36)}`
      await db.keyspaces.create(name, { partitions: 2 })
      const rows = db.keyspace(name)
      await Promise.all(Array.from({ length: 20 }, (_, n) => rows.put(`key-${n}`, `value ${n}`)))
      await db.keyspaces.update(name, { defaultTtlMs: 60_000 })
      await db.keyspaces.delete(name, name)
    }),
}

const deletedHalf: Scenario = {
  name: 'start after half a delete',
  async prepare(stage) {
    const life = stage.serve('log.drop-runs.before')
    if (!(await ready(life, stage.httpAddress))) throw new Error('it was killed before its time')
    await stage.mortally(async (db) => {
      await db.keyspaces.create('half', { partitions: 1 })
      await db.keyspaces.delete('half', 'half').catch(() => undefined)
    })
    await life.ended
  },
}

// ---- snapshots ----

/** Of snapshots that must not come about. */
export const DOOMED = snapshotName(Date.now(), 'd00d')

export async function snapshotAndTrim(stage: Stage, life: Life): Promise<void> {
  await createSnapshot(stage.address, 1, QUIET)
  await stage.ledger.write(WRITES / 4, over(life))
  await createSnapshot(stage.address, 1, QUIET)
  await trimLog(stage.address, false, QUIET)
}

export const snapshots: Scenario = {
  name: 'snapshots',
  /** What another process left half written long ago. */
  async prepare({ root }) {
    const left = join(root, 'snapshots', 'tidemark', '.left.0011.partial')
    await mkdir(dirname(left), { recursive: true })
    await writeFile(left, 'half')
    const then = (Date.now() - 2 * SNAPSHOT_ORPHAN_MS) / 1000
    await utimes(left, then, then)
  },
  async act(stage, life) {
    await stage.ledger.write(WRITES / 4, over(life))
    await doomedCopy(stage)
    await snapshotAndTrim(stage, life)
  },
}

/** A copy whose place is taken: it is written, and then undone. */
async function doomedCopy(stage: Stage): Promise<void> {
  await mkdir(join(stage.root, 'snapshots', copyOf(stage, DOOMED), 'taken'), { recursive: true })
  await expectNoCopy(stage, DOOMED)
}

const copyOf = ({ cluster }: Stage, snapshot: string): string =>
  copyName(cluster, snapshot, `${cluster}.default`, 0 as Partition)

/** Asks for a copy that cannot be made. */
export async function expectNoCopy({ address }: Stage, snapshot: string): Promise<void> {
  const client = snapshotClient(address)
  const call = client.create({ snapshot, partitions: [{ keyspace: 'default', partition: 0 }] })
  try {
    for await (const { done } of messagesOf(call, address))
      if (done !== undefined) throw new Error(`the copy of ${snapshot} was made`)
  } catch (caught) {
    if (!(caught instanceof TidemarkError)) throw caught
  } finally {
    client.close()
  }
}

/** There is a snapshot, the log was trimmed, the node is down. */
async function trimmed(stage: Stage): Promise<void> {
  if (stage.done.has('trimmed')) return
  await stage.peace(async (life) => {
    await stage.ledger.write(WRITES, over(life))
    await snapshotAndTrim(stage, life)
  })
  stage.done.add('trimmed')
}

const rebuilt: Scenario = {
  name: 'replicas from a snapshot',
  async prepare(stage) {
    await trimmed(stage)
    await stage.dropReplicas()
  },
}

const builtHalf: Scenario = {
  name: 'start after half a copy',
  async prepare(stage) {
    await trimmed(stage)
    await stage.dropReplicas()
    await stage.serve('install.write.after').ended
  },
}

const restore = {
  name: 'restore',
  async prepare(stage: Stage): Promise<void> {
    await trimmed(stage)
    await stage.dropReplicas()
  },
  begin: (stage: Stage, failpoint: string): Life => begin(['snapshot', 'restore'], stage.settings, failpoint),
  /** What the command left half done is to be deleted, as it says itself. */
  async act(stage: Stage): Promise<void> {
    await stage.dropReplicas()
    const again = begin(['snapshot', 'restore'], stage.settings, '')
    await again.ended
    if (again.code !== 0) throw new Error(`the restore failed after one that was killed:\n${again.output()}`)
  },
}

const restoreNothing: Scenario = {
  name: 'restore of damaged copies',
  async prepare(stage) {
    await trimmed(stage)
    await stage.dropReplicas()
    const folder = join(stage.root, 'snapshots')
    await cp(folder, join(stage.root, 'kept'), { recursive: true, force: true })
    for (const name of await readdir(folder, { recursive: true }))
      if (name.endsWith('.copy')) await truncate(join(folder, name), 100)
  },
  begin: restore.begin,
  async act(stage) {
    await cp(join(stage.root, 'kept'), join(stage.root, 'snapshots'), { recursive: true, force: true })
    await restore.act(stage)
  },
}

// ---- what needs much data ----

const history: Scenario = {
  name: 'more history than is kept',
  partitions: 1,
  async prepare(stage) {
    if (stage.done.has('filled')) return
    await stage.peace(() => fill(stage, 66))
    stage.done.add('filled')
  },
  act: (stage) => fill(stage, 6),
}

export const fill = (stage: Stage, mebibytes: number): Promise<void> =>
  stage.mortally(async (db) => {
    const value = Buffer.alloc(MIB - 1000, 'x')
    for (let n = 0; n < mebibytes; n++) await db.put(`big-${n % 20}`, value)
  })

export const EMBEDDED: readonly Scenario[] = [
  writes,
  stop,
  keyspaces,
  snapshots,
  firstStart,
  rebuilt,
  deletedHalf,
  builtHalf,
  restore,
  restoreNothing,
  history,
]
