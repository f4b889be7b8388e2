/**
 * What a damaged directory does to whoever uses it: it is opened by a node as it would be, each key is read, each record of the log is
 * read, snapshots are read back and restored. A value that is not the true one, or an error that is none of the catalogue, is a fault.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { metaKey } from '../../streams/core/keys.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { decodeState } from '../../streams/core/state.ts'
import { logTime, partition } from '../../streams/core/types.ts'
import type { TidemarkNode } from '../../streams/face.ts'
import { openEmbeddedLog } from '../../streams/log/embedded/embedded-log.ts'
import type { Log } from '../../streams/log/log.ts'
import { knownPrefix } from '../../streams/replica/catalogue.ts'
import { openDirectoryStore } from '../../streams/snapshot/directory-store.ts'
import { restorable, restoreReplicas } from '../../streams/snapshot/restore.ts'
import { listSnapshots, verifySnapshot } from '../../streams/snapshot/snapshot.ts'
import { openMemoryStore } from '../../streams/store/memory.ts'
import { openStore } from '../../streams/store/rocksdb.ts'
import type { Store } from '../../streams/store/store.ts'
import { compareWithReplay } from '../kill-points/replay.ts'
import { CLUSTER, openAt, PARTITIONS, settled, type Truth } from './subject.ts'

export type Result =
  /** Everything that can be read is true. */
  | { readonly kind: 'harmless' }
  /** The node does not start, and says why. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** A replica stops, or a read fails, and says why. */
  | { readonly kind: 'told'; readonly reason: string }
  | { readonly kind: 'WRONG'; readonly why: string }

const wrong = (why: string): Result => ({ kind: 'WRONG', why })

/** What came of it, and, for replicas, whether they are true again once their folder was deleted. */
export async function evaluate(folder: string, file: string, truth: Truth): Promise<Result> {
  if (file.startsWith('snapshots/')) return evaluateSnapshot(join(folder, 'snapshots'), truth)
  const result = await evaluateNode(folder, truth)
  if (!file.startsWith('data/replicas/') || result.kind === 'harmless' || result.kind === 'WRONG')
    return result
  await rm(join(folder, 'data', 'replicas'), { recursive: true })
  const rebuilt = await evaluateNode(folder, truth)
  return rebuilt.kind === 'harmless'
    ? result
    : wrong(`the replicas could not be built anew from the log: ${JSON.stringify(rebuilt)}`)
}

async function evaluateNode(folder: string, truth: Truth): Promise<Result> {
  let node: TidemarkNode
  try {
    node = await openAt(folder)
  } catch (caught) {
    return told('refused', caught)
  }
  try {
    await settled(node)
    const found = await readRows(node, truth)
    if (found !== undefined) return found
  } catch (caught) {
    return told('told', caught)
  } finally {
    await node.close(Date.now() + 1000)
  }
  return readLog(folder)
}

/** Errors of the catalogue are told; others are faults. */
function told(kind: 'refused' | 'told', caught: unknown): Result {
  if (caught instanceof TidemarkError && caught.reason !== 'INTERNAL') return { kind, reason: caught.reason }
  return wrong(
    `no error of the catalogue: ${caught instanceof Error ? (caught.stack ?? '') : String(caught)}`,
  )
}

const READ_MS = 10_000

/** Each key by itself, and all at once: the two take different ways to the disk. */
async function readRows(node: TidemarkNode, { rows }: Truth): Promise<Result | undefined> {
  const keyspace = node.keyspace('default')
  let failure: Result | undefined
  const deadline = Date.now() + READ_MS
  const compare = (key: string, is: string | null, was: string | null): Result | undefined =>
    is === was ? undefined : wrong(`${key} is ${is ?? 'missing'}, true is ${was ?? 'its delete'}`)
  for (const [key, was] of rows)
    try {
      const { row } = await keyspace.get(Buffer.from(key), { deadline })
      const found = compare(key, row === undefined ? null : Buffer.from(row.value).toString(), was)
      if (found !== undefined) return found
    } catch (caught) {
      failure = told('told', caught)
      if (failure.kind === 'WRONG') return failure
    }
  if (failure !== undefined) return failure
  const { rows: scanned } = await keyspace.scan({
    range: { start: new Uint8Array(0), end: undefined },
    deadline,
  })
  const left = new Map(rows.filter(([, value]) => value !== null))
  for await (const some of scanned)
    for (const row of some) {
      const key = Buffer.from(row.key).toString()
      const found = compare(key, Buffer.from(row.value).toString(), left.get(key) ?? null)
      if (found !== undefined) return found
      left.delete(key)
    }
  return left.size === 0 ? undefined : wrong(`a scan lacks ${[...left.keys()].join(', ')}`)
}

/** Who reads the log from its start must come to the same rows. */
async function readLog(folder: string): Promise<Result> {
  let log: Log | undefined
  let store: Store | undefined
  try {
    log = await openEmbeddedLog({ directory: join(folder, 'data', 'log'), clock: () => logTime(Date.now()) })
    store = await openStore(join(folder, 'data', 'replicas'))
    const snapshots = openDirectoryStore(join(folder, 'snapshots'))
    const { faults, replicas } = await compareWithReplay(log, store, CLUSTER, snapshots)
    const [fault] = faults
    if (fault === undefined)
      return replicas === PARTITIONS ? { kind: 'harmless' } : wrong(`${replicas} replicas are left`)
    const [, reason] = /: ([A-Z_]+): /.exec(fault) ?? []
    return reason === undefined ? wrong(fault) : { kind: 'told', reason }
  } catch (caught) {
    return told('told', caught)
  } finally {
    await store?.close()
    await log?.close()
  }
}

async function evaluateSnapshot(folder: string, truth: Truth): Promise<Result> {
  const snapshots = openDirectoryStore(folder)
  try {
    const { complete, broken } = await listSnapshots(snapshots, CLUSTER)
    const [first] = broken
    if (first !== undefined) return { kind: 'told', reason: first.error.reason }
    for (const manifest of complete)
      for (const { error } of await verifySnapshot(snapshots, manifest))
        return { kind: 'told', reason: error.reason }
    const store = openMemoryStore()
    const manifests = await restorable(snapshots, CLUSTER, undefined, () => undefined)
    await restoreReplicas(manifests, { snapshots, store, onTrouble: () => undefined })
    for (const [number, chain] of truth.chains.entries()) {
      const prefix = knownPrefix(store, `${CLUSTER}.default`, partition(number))
      const bytes = prefix === undefined ? undefined : store.getMany([metaKey(prefix)])[0]
      const is = bytes === undefined ? '' : Buffer.from(decodeState(bytes).chain).toString('hex')
      if (is !== chain) return wrong(`partition ${number} was restored with the chain ${is}`)
    }
    return { kind: 'harmless' }
  } catch (caught) {
    return told('told', caught)
  }
}
