/**
 * The data directory that is damaged, and what is true of it. It is made by real nodes in this process, life after life, so that it has
 * table files of several levels, and copied while the last one lives: as a killed process leaves it, with full write-ahead logs.
 */
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Prng } from '../../streams/core/testing/prng.ts'
import { partition } from '../../streams/core/types.ts'
import type { TidemarkNode } from '../../streams/face.ts'
import { quiet } from '../../streams/node.fixture.ts'
import { openDirectoryStore } from '../../streams/snapshot/directory-store.ts'
import { snapshotName } from '../../streams/snapshot/manifest.ts'
import { publishSnapshot, storeCopy } from '../../streams/snapshot/snapshot.ts'
import type { PartitionSnapshot } from '../../streams/snapshot/manifest.ts'
import { readConfig, type Config } from '../../services/node/config.ts'
import { openConfigured } from '../../services/node/open.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'

/** As JSON: what must be read. */
export interface Truth {
  /** Value by key; keys that were deleted have null. */
  readonly rows: readonly (readonly [key: string, value: string | null])[]
  /** Chain hash of each partition, when the snapshot was made and ever since. */
  readonly chains: readonly string[]
}

export const PARTITIONS = 2
export const CLUSTER = 'tidemark'
const LIVES = 7
const ROWS_OF_LIFE = 60
const KEYS = 200

export const configOf = (folder: string): Config =>
  readConfig({ TIDEMARK_DATA_DIR: join(folder, 'data'), TIDEMARK_PARTITIONS: String(PARTITIONS) })

export const openAt = (folder: string): Promise<TidemarkNode> =>
  openConfigured(configOf(folder), {
    telemetry: quiet,
    signal: new AbortController().signal,
    replaced: (error: TidemarkError) => {
      throw error
    },
  })

/** @returns when each replica is live or stopped */
export async function settled(node: TidemarkNode): Promise<void> {
  node.join('127.0.0.1:1')
  const began = performance.now()
  const rests = (): boolean =>
    node.replicas().length >= PARTITIONS && node.replicas().every(({ state }) => state !== 'restoring')
  while (!rests()) {
    if (performance.now() - began > SETTLED_MS_MAX)
      throw new Error(`replicas neither live nor stopped: ${JSON.stringify(node.replicas())}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

const SETTLED_MS_MAX = 30_000

/** Makes `<folder>/intact` with `data` and `snapshots`. */
export async function makeSubject(folder: string, seed: number): Promise<Truth> {
  const random = new Prng(seed)
  const rows = new Map<string, string | null>()
  const living = join(folder, 'living')
  const intact = join(folder, 'intact')
  for (let life = 0; ; life++) {
    const node = await openAt(living)
    await settled(node)
    await writeRows(node, rows, random, life)
    if (life < LIVES) {
      await node.close(Date.now() + 5000)
      continue
    }
    await mkdir(intact, { recursive: true })
    await snapshotOf(node, join(intact, 'snapshots'))
    const chains = node
      .replicas()
      .toSorted((a, b) => a.partition - b.partition)
      .map(({ chainHash }) => chainHash)
    await cp(join(living, 'data'), join(intact, 'data'), { recursive: true })
    await node.close(Date.now() + 5000)
    return { rows: [...rows], chains }
  }
}

async function writeRows(
  node: TidemarkNode,
  rows: Map<string, string | null>,
  random: Prng,
  life: number,
): Promise<void> {
  const keyspace = node.keyspace('default')
  const deadline = Date.now() + 30_000
  for (let n = 0; n < ROWS_OF_LIFE; n++) {
    const key = `key-${random.below(KEYS)}`
    const requestId = `life-${life}/${n + 1}`
    if (random.chance(10)) {
      await keyspace.write({ kind: 'delete', key: Buffer.from(key), requestId }, { deadline })
      rows.set(key, null)
    } else {
      const value = `${key} ${life}.${n} ${random.bytes(60).toString('base64')}`
      await keyspace.write(
        { kind: 'put', key: Buffer.from(key), value: Buffer.from(value), requestId },
        { deadline },
      )
      rows.set(key, value)
    }
  }
}

async function snapshotOf(node: TidemarkNode, folder: string): Promise<void> {
  const store = openDirectoryStore(folder)
  const snapshot = snapshotName(Date.now(), '0123456789ab')
  const made: PartitionSnapshot[] = []
  for (let number = 0; number < PARTITIONS; number++) {
    const place = { cluster: CLUSTER, snapshot, topic: `${CLUSTER}.default`, partition: partition(number) }
    made.push(await storeCopy(store, place, node.copies.give('default', place.partition).chunks))
  }
  const { logIdentity } = node.description
  await publishSnapshot(store, { cluster: CLUSTER, snapshot, logIdentity, now: Date.now(), partitions: made })
}
