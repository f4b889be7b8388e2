/**
 * Making a snapshot over the nodes of a cluster: each writes the copies of some of the partitions that it serves, then one of them
 * publishes what all of them wrote. A partition whose node fails goes to another one that serves it.
 */
import { Metadata, credentials } from '@grpc/grpc-js'
import {
  ClusterServiceClient,
  type ClusterMap,
  type DescribeResponse,
  ReplicaState,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import type {
  PublishResponse,
  SnapshotObject,
  SnapshotPartition,
  TrimmedPartition,
} from '../../proto/generated/tidemark/v1/snapshot_service.ts'
import { randomBytes } from 'node:crypto'
import { TidemarkError } from '../../streams/core/errors.ts'
import { snapshotName } from '../../streams/snapshot/manifest.ts'
import { failureOf } from '../client/failure.ts'
import { tokenText } from '../client/session-token.ts'
import { messagesOf, snapshotClient } from '../snapshot-calls.ts'

export interface Telling {
  /** @param share - 0 to 1; undefined where the end is not known */
  readonly onProgress: (done: number, share: number | undefined) => void
  readonly onTrouble: (sentence: string) => void
}

export interface MadeSnapshot {
  readonly snapshot: string
  readonly objects: readonly SnapshotObject[]
  /** Where each copy ends: a token to read as of, or to watch from. No cut: each partition is at an offset of its own. */
  readonly token: string
  /** Older ones that are gone now. */
  readonly dropped: readonly string[]
}

/** Milliseconds for answers that need no work. */
const ASK_MS = 10_000
/** Milliseconds for listing and dropping in a slow object store. */
const PUBLISH_MS = 600_000

/** A partition, and where nodes that serve it are. */
export interface Served extends SnapshotPartition {
  readonly addresses: readonly string[]
}

/** @param keep - how many snapshots are kept; 0 = all */
export async function createSnapshot(server: string, keep: number, telling: Telling): Promise<MadeSnapshot> {
  const described = await describe(server)
  let left = servedPartitions(server, described)
  const snapshot = snapshotName(Date.now(), randomBytes(6).toString('hex'))
  const objects: SnapshotObject[] = []
  const count = { entries: 0, total: left.length }
  while (left.length > 0) {
    const made = await Promise.all(
      [...shared(left)].map(([address, partitions]) =>
        createOn(address, snapshot, partitions, (entries, done) => {
          count.entries += entries
          if (done !== undefined) objects.push(done)
          telling.onProgress(count.entries, objects.length / count.total)
        }),
      ),
    )
    left = made.flatMap(({ address, unmade, error }) => {
      if (error === undefined) return []
      telling.onTrouble(`${address} did not write ${unmade.length} of its partitions: ${error.message}`)
      const rest = unmade.map((one) => ({
        ...one,
        addresses: one.addresses.filter((other) => other !== address),
      }))
      if (rest.some(({ addresses }) => addresses.length === 0)) throw error
      return rest
    })
  }
  const { dropped } = await publish(server, snapshot, objects, keep)
  return { snapshot, objects, token: tokenOf(objects, described), dropped }
}

const tokenOf = (objects: readonly SnapshotObject[], { cluster, logIdentity }: DescribeResponse): string =>
  tokenText({
    logIdentity,
    positions: objects
      .filter(({ next }) => next > 0)
      .map(({ topic, partition, next }) => ({
        keyspace: topic.slice(cluster.length + 1),
        partition,
        offset: next - 1,
      })),
  })

async function describe(server: string): Promise<DescribeResponse> {
  const client = new ClusterServiceClient(server, credentials.createInsecure())
  try {
    return await new Promise((resolve, reject) => {
      client.describe({}, new Metadata(), { deadline: Date.now() + ASK_MS }, (error, response) => {
        if (error === null) resolve(response)
        else reject(failureOf(error, server))
      })
    })
  } finally {
    client.close()
  }
}

/** All partitions of the cluster; a node that knows no map serves all there are. @throws PARTITION_RESTORING where none serves one */
export function servedPartitions(server: string, { map, replicas }: DescribeResponse): readonly Served[] {
  const served =
    map === undefined || map.keyspaces.length === 0
      ? replicas.map(({ keyspace, partition, state }) => ({
          keyspace,
          partition,
          addresses: state === ReplicaState.REPLICA_STATE_STOPPED ? [] : [server],
        }))
      : placed(map)
  const lost = served.find(({ addresses }) => addresses.length === 0)
  if (lost !== undefined)
    throw new TidemarkError(
      'PARTITION_RESTORING',
      `no node serves partition ${lost.partition} of keyspace ${lost.keyspace}: a snapshot would lack it`,
    )
  return served
}

function placed({ nodes, keyspaces }: ClusterMap): Served[] {
  const addressOf = new Map(nodes.map(({ nodeId, address }) => [nodeId, address]))
  return keyspaces.flatMap(({ keyspace, placements }) =>
    placements.map(({ replicas }, partition) => ({
      keyspace: keyspace?.name ?? '',
      partition,
      addresses: replicas.flatMap((nodeId) => addressOf.get(nodeId) ?? []),
    })),
  )
}

/** Which node writes which partitions: as even as one look at each partition makes it. */
export function shared(partitions: readonly Served[]): ReadonlyMap<string, readonly Served[]> {
  const shares = new Map<string, Served[]>()
  const load = (address: string): number => shares.get(address)?.length ?? 0
  // Those with the least choice first.
  for (const one of partitions.toSorted((a, b) => a.addresses.length - b.addresses.length)) {
    const [address] = one.addresses.toSorted((a, b) => load(a) - load(b))
    if (address === undefined) continue
    const share = shares.get(address)
    if (share === undefined) shares.set(address, [one])
    else share.push(one)
  }
  return shares
}

interface Part {
  readonly address: string
  readonly unmade: readonly Served[]
  readonly error: TidemarkError | undefined
}

async function createOn(
  address: string,
  snapshot: string,
  partitions: readonly Served[],
  onProgress: (entries: number, done: SnapshotObject | undefined) => void,
): Promise<Part> {
  const client = snapshotClient(address)
  let made = 0
  let entriesBefore = 0
  try {
    const wanted = partitions.map(({ keyspace, partition }) => ({ keyspace, partition }))
    const call = client.create({ snapshot, partitions: wanted })
    // In the order in which they were asked for.
    for await (const { entries, done } of messagesOf(call, address)) {
      if (done !== undefined) made += 1
      onProgress(entries - entriesBefore, done)
      entriesBefore = entries
    }
    return { address, unmade: [], error: undefined }
  } catch (caught) {
    return { address, unmade: partitions.slice(made), error: TidemarkError.from(caught) }
  } finally {
    client.close()
  }
}

async function publish(
  server: string,
  snapshot: string,
  objects: SnapshotObject[],
  keep: number,
): Promise<PublishResponse> {
  const client = snapshotClient(server)
  try {
    return await new Promise((resolve, reject) => {
      client.publish(
        { snapshot, objects, keep },
        new Metadata(),
        { deadline: Date.now() + PUBLISH_MS },
        (error, response) => {
          if (error === null) resolve(response)
          else reject(failureOf(error, server))
        },
      )
    })
  } finally {
    client.close()
  }
}

/** @returns what became of each partition */
export async function trimLog(
  server: string,
  dryRun: boolean,
  { onProgress, onTrouble }: Telling,
): Promise<readonly TrimmedPartition[]> {
  const client = snapshotClient(server)
  const partitions: TrimmedPartition[] = []
  try {
    for await (const { bytes, done, damaged } of messagesOf(client.trim({ dryRun }), server)) {
      onProgress(bytes, undefined)
      if (damaged !== '') onTrouble(`snapshot ${damaged} is damaged, and counts for nothing`)
      if (done !== undefined) partitions.push(done)
    }
    return partitions
  } finally {
    client.close()
  }
}
