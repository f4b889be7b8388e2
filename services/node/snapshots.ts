/** SnapshotService: copies of this node's replicas for peers, and its part in making snapshots and trimming the log. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import {
  type CopyRequest,
  type CopyResponse,
  type PublishRequest,
  type PublishResponse,
  type SnapshotObject,
  type SnapshotServiceCreateRequest,
  type SnapshotServiceCreateResponse,
  SnapshotServiceService as methods,
  type TrimRequest,
  type TrimResponse,
  type TrimmedPartition,
} from '../../proto/generated/tidemark/v1/snapshot_service.ts'
import { asBuffer } from '../../streams/core/bytes.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { SNAPSHOT_PROGRESS_MS } from '../../streams/core/limits.ts'
import { type Offset, type Partition, partition as partitionNumber } from '../../streams/core/types.ts'
import type { Manifest, PartitionSnapshot } from '../../streams/snapshot/manifest.ts'
import {
  dropOldSnapshots,
  listSnapshots,
  publishSnapshot,
  storeCopy,
  verifySnapshot,
} from '../../streams/snapshot/snapshot.ts'
import type { SnapshotStore } from '../../streams/snapshot/snapshot-store.ts'
import { type TrimPoint, trimPoints } from '../../streams/snapshot/trim.ts'
import {
  type HandlersOf,
  type Serving,
  type Streaming,
  type Unary,
  serverStreaming,
  unary,
  writable,
} from './calls.ts'
import type { snapshotDefinition } from './definitions.ts'
import { keyspaceName } from './validate.ts'

export function snapshots(serving: Serving): HandlersOf<typeof snapshotDefinition> {
  const { node, draining } = serving
  const { cluster, logIdentity } = node.description

  const store = (): SnapshotStore => {
    if (serving.snapshots !== undefined) return serving.snapshots
    throw new TidemarkError(
      'CONFIG_INVALID',
      'this node has no place for snapshots: set TIDEMARK_SNAPSHOT_URL',
    )
  }

  /** Goes through what must end when the caller leaves or the node drains. */
  async function* whileWanted<T>(
    items: AsyncGenerator<T>,
    call: { readonly cancelled: boolean },
  ): AsyncGenerator<T> {
    try {
      for await (const item of items) {
        if (call.cancelled) throw new TidemarkError('CANCELLED', 'the caller cancelled')
        if (draining.aborted) throw new TidemarkError('NODE_DRAINING', 'the node is shutting down')
        yield item
      }
    } finally {
      await items.return(undefined)
    }
  }

  const copy: Streaming<CopyRequest, CopyResponse> = async (request, call) => {
    const { session: wanted, fromSequence: from } = request
    const given = node.copies.give(
      keyspaceName(request.keyspace),
      partitionNumber(request.partition),
      wanted === '' ? undefined : { session: wanted, from },
    )
    let { session } = given
    for await (const chunk of whileWanted(given.chunks, call)) {
      const more = call.write({ session, chunk: asBuffer(chunk) })
      session = ''
      if (!more) await writable(call)
    }
  }

  /** Counts a part of a new snapshot, a failed one too; one that nobody waits for any more is none. */
  const counted = async <Made>(done: 'written' | 'published', make: () => Promise<Made>): Promise<Made> => {
    const parts = serving.totals.tallies['snapshot.parts']
    try {
      const made = await make()
      parts.add(done)
      return made
    } catch (caught) {
      const { reason } = TidemarkError.from(caught)
      if (reason !== 'CANCELLED' && reason !== 'NODE_DRAINING') parts.add('failed')
      throw caught
    }
  }

  const create: Streaming<SnapshotServiceCreateRequest, SnapshotServiceCreateResponse> = async (
    request,
    call,
  ) => {
    const tell = teller(call, (entries, bytes) => ({ entries, bytes, done: undefined }))
    for (const { keyspace, partition } of request.partitions) {
      const name = keyspaceName(keyspace)
      const { topic } = node.keyspace(name).info
      const place = { cluster, snapshot: request.snapshot, topic, partition: partitionNumber(partition) }
      const made = await counted('written', () => {
        const target = store()
        const { chunks } = node.copies.give(name, place.partition)
        return storeCopy(target, place, whileWanted(chunks, call), tell.progress)
      })
      await tell.done((entries, bytes) => ({ entries, bytes, done: objectMessage(made) }))
    }
  }

  const publish: Unary<PublishRequest, PublishResponse> = async ({ snapshot, objects, keep }) => {
    const now = Date.now()
    const partitions = objects.map(partitionSnapshot)
    await counted('published', () =>
      publishSnapshot(store(), { cluster, snapshot, logIdentity, now, partitions }),
    )
    return { dropped: keep === 0 ? [] : [...(await dropOldSnapshots(store(), cluster, keep, now))] }
  }

  const trim: Streaming<TrimRequest, TrimResponse> = async ({ dryRun }, call) => {
    const tell = teller(call, (_entries, bytes) => ({ bytes, done: undefined, damaged: '' }))
    const { complete, broken } = await listSnapshots(store(), cluster)
    const good: Manifest[] = []
    const damaged = broken.map(({ snapshot }) => snapshot)
    for (const manifest of complete.filter((one) => one.logIdentity === logIdentity)) {
      const damages = await verifySnapshot(store(), manifest, (entries, bytes) => {
        if (call.cancelled) throw new TidemarkError('CANCELLED', 'the caller cancelled')
        tell.progress(entries, bytes)
      })
      if (call.cancelled) return
      if (damages.length === 0) good.push(manifest)
      else damaged.push(manifest.snapshot)
    }
    for (const snapshot of damaged)
      await tell.done((_entries, bytes) => ({ bytes, done: undefined, damaged: snapshot }))
    if (good.length === 0)
      throw new TidemarkError(
        'TRIM_REFUSED',
        `no snapshot at ${store().place} reads back good: nothing is trimmed`,
      )
    for (const point of trimPoints(good)) {
      const done = await trimOne(point, dryRun)
      await tell.done((_entries, bytes) => ({ bytes, done, damaged: '' }))
    }
  }

  const trimOne = async (point: TrimPoint, dryRun: boolean): Promise<TrimmedPartition> => {
    const named = { keyspace: point.topic.slice(cluster.length + 1), partition: point.partition }
    try {
      return { ...named, ...(await node.copies.trim(point, dryRun)), refused: '' }
    } catch (caught) {
      const error = TidemarkError.from(caught)
      if (error.reason === 'INTERNAL') throw caught
      return { ...named, start: 0, trimmedTo: 0, refused: `${error.reason}: ${error.message}` }
    }
  }

  return {
    copy: serverStreaming(serving, methods.copy, copy),
    create: serverStreaming(serving, methods.create, create),
    publish: unary(serving, methods.publish, publish),
    trim: serverStreaming(serving, methods.trim, trim),
  }
}

type Message<Response> = (entries: number, bytes: number) => Response

/** Tells how far a call is: now and then in between, and at each thing that is done. */
function teller<Request, Response>(
  call: ServerWritableStream<Request, Response>,
  between: Message<Response>,
) {
  let [entries, bytes, toldAt] = [0, 0, -Infinity]
  return {
    progress(moreEntries: number, moreBytes: number): void {
      entries += moreEntries
      bytes += moreBytes
      const now = performance.now()
      if (now - toldAt < SNAPSHOT_PROGRESS_MS) return
      toldAt = now
      call.write(between(entries, bytes))
    },
    async done(message: Message<Response>): Promise<void> {
      if (!call.write(message(entries, bytes))) await writable(call)
    },
  }
}

const objectMessage = ({ object, chainHash, ...facts }: PartitionSnapshot): SnapshotObject => ({
  ...facts,
  name: object.name,
  size: object.size,
  sha256: Buffer.from(object.sha256, 'hex'),
  chainHash: Buffer.from(chainHash, 'hex'),
})

const partitionSnapshot = (message: SnapshotObject): PartitionSnapshot => ({
  topic: message.topic,
  topicIdentity: message.topicIdentity,
  partition: message.partition as Partition,
  partitions: message.partitions,
  next: message.next as Offset,
  chainHash: message.chainHash.toString('hex'),
  rows: message.rows,
  object: { name: message.name, size: message.size, sha256: message.sha256.toString('hex') },
})
