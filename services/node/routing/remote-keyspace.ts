/** One keyspace as a peer serves it: the part of the face that touches rows, over gRPC. */
import type {
  BarrierResponse,
  BatchGetResponse,
  GetOutcomeResponse,
  GetResponse,
  HistoryResponse,
} from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import { asBuffer, compareBytes } from '../../../streams/core/bytes.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import { WATCH_RESUME_MS } from '../../../streams/core/limits.ts'
import type { Mutation, Row } from '../../../streams/core/mutation.ts'
import { type Offset, type Partition, offset } from '../../../streams/core/types.ts'
import type {
  Barrier,
  BatchReadResult,
  Freshness,
  HistoryResult,
  Keyspace,
  OutcomeResult,
  Provenance,
  ReadResult,
  Scan,
  ScanOptions,
  TransactionReads,
  Watch,
  WatchOptions,
  WriteOptions,
  WriteResult,
} from '../../../streams/face.ts'
import {
  barrierOf,
  consistencyOf,
  outcomeOf,
  provenanceOf,
  rowOf,
  strange,
  tokenOf,
  watchEventOf,
  watchMessageOf,
} from './answers.ts'
import { withTrace } from './hop.ts'
import type { Peer, PeerStream } from './peer.ts'
import { readOperation, readResultOf, writeOperation, writeResultOf } from './operations.ts'
import {
  consistencyNumber,
  durabilityNumber,
  freshnessFields,
  readFields,
  scanRequest,
  watchRequest,
} from './requests.ts'

/** What a node does with rows; the local keyspace has it too. */
export type Rows = Omit<Keyspace, 'info' | 'partitionOf' | 'submit'>

export class RemoteKeyspace implements Rows {
  readonly #peer: Peer
  readonly #name: string
  readonly #partitionOf: (key: Uint8Array) => Partition

  constructor(peer: Peer, name: string, partitionOf: (key: Uint8Array) => Partition) {
    this.#peer = peer
    this.#name = name
    this.#partitionOf = partitionOf
  }

  // ---- single rows ----

  async write(mutation: Mutation, options: WriteOptions, reads?: TransactionReads): Promise<WriteResult> {
    const { operation, readsOf } = writeOperation(mutation, reads)
    const fields = {
      keyspace: this.#name,
      consistency: consistencyNumber(undefined),
      token: undefined,
      durability: durabilityNumber(options.durability),
    }
    const result = await this.#peer.submit(fields, operation, options.deadline)
    return writeResultOf(result, options, readsOf)
  }

  async get(key: Uint8Array, freshness: Freshness): Promise<ReadResult> {
    if (freshness.asOf !== undefined) return this.#getOnce(key, undefined, freshness)
    const { consistency, token, deadline, traces } = freshness
    const fields = {
      keyspace: this.#name,
      consistency: consistencyNumber(consistency),
      token,
      durability: durabilityNumber(undefined),
    }
    const operation = readOperation(key)
    operation.traceparent = traces?.get(key) ?? ''
    return readResultOf(await this.#peer.submit(fields, operation, deadline), key)
  }

  // ---- reading ----

  getAt(key: Uint8Array, at: Offset, freshness: Freshness): Promise<ReadResult> {
    return this.#getOnce(key, at, freshness)
  }

  async #getOnce(key: Uint8Array, atVersion: Offset | undefined, freshness: Freshness): Promise<ReadResult> {
    const request = { keyspace: this.#name, key: asBuffer(key), atVersion, ...readFields(freshness) }
    const { header, row } = await this.#peer.rows<GetResponse>(
      (client, metadata, call, done) => client.get(request, metadata, call, done),
      freshness.deadline,
    )
    return {
      ...provenanceOf(header, this.#partitionOf(key)),
      row: row === undefined ? undefined : rowOf(row),
    }
  }

  /** What is too much for one answer is asked for in parts; then a partition may be seen at two offsets, and the later one counts. */
  async getMany(keys: readonly Uint8Array[], freshness: Freshness): Promise<BatchReadResult> {
    try {
      return await this.#batch(keys, freshness)
    } catch (caught) {
      const { reason } = TidemarkError.from(caught)
      if (reason !== 'BATCH_TOO_LARGE' || keys.length === 1) throw caught
    }
    const part = Math.ceil(keys.length / 4)
    const rows: (Row | undefined)[] = []
    const seen = new Map<Partition, Provenance>()
    for (let from = 0; from < keys.length; from += part) {
      const read = await this.getMany(keys.slice(from, from + part), freshness)
      rows.push(...read.rows)
      for (const each of read.provenance) {
        const known = seen.get(each.partition)?.applied ?? -1
        if ((each.applied ?? -1) >= known) seen.set(each.partition, each)
      }
    }
    return { rows, provenance: [...seen.values()] }
  }

  async #batch(keys: readonly Uint8Array[], freshness: Freshness): Promise<BatchReadResult> {
    const request = { keyspace: this.#name, keys: keys.map(asBuffer), ...readFields(freshness) }
    const answer = await this.#peer.rows<BatchGetResponse>(
      (client, metadata, call, done) =>
        client.batchGet(request, withTrace(metadata, freshness.traces), call, done),
      freshness.deadline,
    )
    // The rows found come in the order of the keys; missing ones are left out.
    let next = 0
    const rows = keys.map((key) => {
      const row = answer.rows[next]
      if (row === undefined || compareBytes(key, row.key) !== 0) return undefined
      next += 1
      return rowOf(row)
    })
    const consistency = consistencyOf(answer.consistency)
    const applied = new Map(
      answer.token?.positions.map((position) => [position.partition, offset(position.offset)]),
    )
    const touched = [...new Set(keys.map((key) => this.#partitionOf(key)))]
    return {
      rows,
      // The end of the log is not part of this answer: it is at least what was read.
      provenance: touched.map((partition) => {
        const seen = applied.get(partition)
        return { partition, applied: seen, logEnd: offset((seen ?? -1) + 1), logEndAgeMs: 0, consistency }
      }),
    }
  }

  async history(key: Uint8Array, limit: number, freshness: Freshness): Promise<HistoryResult> {
    const request = { keyspace: this.#name, key: asBuffer(key), limit, ...freshnessFields(freshness) }
    const answer = await this.#peer.rows<HistoryResponse>(
      (client, metadata, call, done) => client.history(request, metadata, call, done),
      freshness.deadline,
    )
    return {
      ...provenanceOf(answer.header, this.#partitionOf(key)),
      versions: answer.versions.map(watchEventOf),
      earliest: answer.earliestVersion === 0 ? undefined : offset(answer.earliestVersion),
    }
  }

  async outcome(partition: Partition, at: Offset, deadline: number): Promise<OutcomeResult> {
    const request = { position: { keyspace: this.#name, partition, offset: at } }
    const answer = await this.#peer.rows<GetOutcomeResponse>(
      (client, metadata, call, done) => client.getOutcome(request, metadata, call, done),
      deadline,
    )
    return {
      ...provenanceOf(answer.header, partition),
      outcomes: answer.outcomes.map(outcomeOf),
      time: answer.timeMs,
    }
  }

  async barrier(partition: Partition, requestId: string, deadline: number): Promise<Barrier> {
    const barrier = await this.#askBarrier(partition, requestId, false, deadline)
    if (barrier === undefined) throw strange('it tells of no barrier')
    return barrier
  }

  findBarrier(partition: Partition, requestId: string, deadline: number): Promise<Barrier | undefined> {
    return this.#askBarrier(partition, requestId, true, deadline)
  }

  async #askBarrier(
    partition: Partition,
    requestId: string,
    onlyLook: boolean,
    deadline: number,
  ): Promise<Barrier | undefined> {
    const request = { keyspace: this.#name, partition, requestId, onlyLook }
    const answer = await this.#peer.rows<BarrierResponse>(
      (client, metadata, call, done) => client.barrier(request, metadata, call, done),
      deadline,
    )
    return barrierOf(answer)
  }

  // ---- streams ----

  async scan(options: ScanOptions): Promise<Scan> {
    const request = scanRequest(this.#name, options)
    const stream = this.#peer.stream((client, metadata) => client.scan(request, metadata))
    const first = await this.#inTime(stream, stream.next(), options.deadline)
    return { token: tokenOf(first?.token), rows: rowsOf(stream, (first?.rows ?? []).map(rowOf)) }
  }

  async watch(options: WatchOptions): Promise<Watch> {
    const request = watchRequest(this.#name, options)
    const stream = this.#peer.stream((client, metadata) => client.watch(request, metadata))
    await this.#inTime(stream, stream.accepted, Date.now() + WATCH_RESUME_MS / 2)
    return pulled(
      async () => {
        const response = await stream.next()
        return response === undefined ? undefined : watchMessageOf(response)
      },
      () => stream.cancel(),
    )
  }

  /** A stream has no deadline of its own; that it begins has one. */
  async #inTime<T>(stream: PeerStream<unknown>, beginning: Promise<T>, deadline: number): Promise<T> {
    let late = false
    const timer = setTimeout(
      () => {
        late = true
        stream.cancel()
      },
      Math.max(0, deadline - Date.now()),
    )
    try {
      return await beginning
    } catch (caught) {
      if (!late) throw caught
      this.#peer.doubt()
      throw new TidemarkError('DEADLINE_EXCEEDED', `node ${this.#peer.nodeId} gave no answer in time`)
    } finally {
      clearTimeout(timer)
    }
  }
}

function rowsOf(
  stream: PeerStream<{ readonly rows: Parameters<typeof rowOf>[0][] }>,
  first: readonly Row[],
): AsyncIterableIterator<readonly Row[]> {
  let held: readonly Row[] | undefined = first
  return pulled(
    async () => {
      const rows = held
      held = undefined
      return rows ?? (await stream.next())?.rows.map(rowOf)
    },
    () => stream.cancel(),
  )
}

/** An iterator whose return does not wait for a pull: that may wait as long as nothing happens. */
function pulled<T>(pull: () => Promise<T | undefined>, cancel: () => void): AsyncIterableIterator<T> {
  let over = false
  return {
    async next() {
      if (over) return { done: true, value: undefined }
      try {
        const value = await pull()
        if (value !== undefined) return { done: false, value }
      } catch (caught) {
        if (!over) throw caught
      }
      over = true
      return { done: true, value: undefined }
    },
    async return() {
      over = true
      cancel()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
