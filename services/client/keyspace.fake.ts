/** The rows of the fake node: a log in memory for each partition, what it makes, and who follows it. */
import {
  PipelineOperationKind as Kind,
  WatchEvent_Kind,
  type PipelineOperation,
  type PipelineResult,
  type TransactOperation,
  type TransactRequest,
  type WatchEvent,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import type { Row, Token } from '../../proto/generated/tidemark/v1/types.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { partitionOf } from '../../streams/core/partitioner.ts'
import { newResult } from '../pipeline-codec.ts'

export const FAKE_LOG = 'fake-log'

export interface FakeRecord {
  readonly offset: number
  readonly partition: number
  readonly key: Buffer
  readonly event: WatchEvent
}

interface Follower {
  readonly tell: (records: readonly FakeRecord[]) => void
  readonly cut: (error: TidemarkError) => void
}

export class FakeKeyspace {
  readonly name: string
  readonly partitions: number
  /** Keys are placed by what stands before it; empty = by the whole key. */
  separator = ''
  /** Offset of the next record of each partition; the first one is taken by the format record. */
  readonly ends: number[]
  /** Records before this offset can no longer be watched. */
  earliest = 0
  readonly #records: FakeRecord[] = []
  readonly #rows = new Map<string, Row>()
  readonly #answers = new Map<string, PipelineResult>()
  readonly #followers = new Set<Follower>()

  constructor(name: string, partitions: number) {
    this.name = name
    this.partitions = partitions
    this.ends = Array.from({ length: partitions }, () => 1)
  }

  get(key: Buffer): Row | undefined {
    return this.#rows.get(key.toString('hex'))
  }

  all(): Row[] {
    return [...this.#rows.values()].sort((a, b) => a.key.compare(b.key))
  }

  token(): Token {
    const positions = this.ends.map((end, partition) => ({ keyspace: this.name, partition, offset: end - 1 }))
    return { logIdentity: FAKE_LOG, positions }
  }

  history(key: Buffer): WatchEvent[] {
    return this.#records
      .filter((record) => record.key.equals(key))
      .map(({ event }) => event)
      .reverse()
  }

  initialEvents(): WatchEvent[] {
    return this.all().map((row) => ({ ...changeOf(WatchEvent_Kind.KIND_PUT, row), timeMs: 0 }))
  }

  /** @throws COMPACTED */
  after(token: Token): FakeRecord[] {
    const from = new Map(token.positions.map(({ partition, offset }) => [partition, offset]))
    if ([...from.values()].some((offset) => offset + 1 < this.earliest)) {
      throw new TidemarkError('COMPACTED', 'history is gone', {
        metadata: { earliest: String(this.earliest) },
      })
    }
    return this.#records.filter(({ partition, offset }) => offset > (from.get(partition) ?? Infinity))
  }

  follow(tell: Follower['tell'], cut: Follower['cut']): () => void {
    const follower = { tell, cut }
    this.#followers.add(follower)
    return () => void this.#followers.delete(follower)
  }

  cut(error: TidemarkError): void {
    for (const follower of this.#followers) follower.cut(error)
    this.#followers.clear()
  }

  put(key: string, value: string): void {
    this.#append(Buffer.from(key), Buffer.from(value))
  }

  putAll(rows: readonly (readonly [Buffer, Buffer])[]): void {
    for (const [key, value] of rows) this.#append(key, value)
  }

  perform(operation: PipelineOperation, requestId: string): PipelineResult {
    const known = this.#answers.get(requestId)
    if (known !== undefined) return { ...known, id: operation.id, duplicate: true }
    const result = this.#decide(operation)
    if (requestId !== '') this.#answers.set(requestId, result)
    return result
  }

  #decide(operation: PipelineOperation): PipelineResult {
    const { key } = operation
    const partition = this.partitionOf(key)
    const base = (): PipelineResult => ({
      ...newResult(operation.id),
      partition,
      applied: (this.ends[partition] ?? 0) - 1,
      version: this.get(key)?.version,
    })
    if (operation.ifVersion !== undefined && operation.ifVersion !== (this.get(key)?.version ?? 0)) {
      return { ...base(), reason: 'VERSION_MISMATCH', message: `the row has version ${base().version ?? 0}` }
    }
    switch (operation.kind) {
      case Kind.PIPELINE_OPERATION_KIND_GET: {
        const row = this.get(key)
        if (row === undefined) return base()
        return { ...base(), value: row.value, expiresAtMs: row.expiresAtMs, contentType: row.contentType }
      }
      case Kind.PIPELINE_OPERATION_KIND_PUT:
        this.#append(key, operation.value, operation.contentType, operation.ttlMs)
        return base()
      case Kind.PIPELINE_OPERATION_KIND_DELETE:
        this.#append(key, undefined)
        return base()
      case Kind.PIPELINE_OPERATION_KIND_INCREMENT:
        return { ...base(), number: this.#increment(key, operation.delta), version: this.get(key)?.version }
      default:
        return { ...base(), ...this.#transact(operation.transaction), version: undefined }
    }
  }

  #increment(key: Buffer, delta: string): string {
    const number = String(BigInt(this.get(key)?.value.toString() ?? '0') + BigInt(delta))
    this.#append(key, Buffer.from(number))
    return number
  }

  #transact(request: TransactRequest | undefined): Pick<PipelineResult, 'succeeded' | 'results'> {
    const succeeded = (request?.compares ?? []).every(({ key, operator, target }) => {
      const row = this.get(key)
      const order =
        target?.$case === 'version'
          ? (row?.version ?? 0) - target.value
          : row === undefined || target === undefined
            ? NaN
            : row.value.compare(target.value)
      return [order === 0, order === 0, order !== 0, order > 0, order < 0][operator] ?? false
    })
    const steps = succeeded ? request?.thenOperations : request?.elseOperations
    return { succeeded, results: (steps ?? []).map((step) => ({ row: this.#step(step) })) }
  }

  #step({ operation }: TransactOperation): Row | undefined {
    if (operation?.$case === 'get') return this.get(operation.value.key)
    if (operation?.$case === 'put') this.#append(operation.value.key, operation.value.value)
    if (operation?.$case === 'delete') this.#append(operation.value.key, undefined)
    if (operation?.$case === 'increment') this.#increment(operation.value.key, operation.value.delta)
    return undefined
  }

  #append(key: Buffer, value: Buffer | undefined, contentType = '', ttlMs?: number): void {
    const partition = this.partitionOf(key)
    const offset = this.ends[partition] ?? 1
    this.ends[partition] = offset + 1
    const row: Row = {
      key: Buffer.from(key),
      value: value === undefined ? Buffer.alloc(0) : Buffer.from(value),
      version: offset,
      partition,
      expiresAtMs: ttlMs === undefined ? 0 : 1_000_000 + ttlMs,
      contentType,
    }
    if (value === undefined) this.#rows.delete(key.toString('hex'))
    else this.#rows.set(key.toString('hex'), row)
    const kind = value === undefined ? WatchEvent_Kind.KIND_DELETED : WatchEvent_Kind.KIND_PUT
    const record = { offset, partition, key: row.key, event: changeOf(kind, row) }
    this.#records.push(record)
    for (const { tell } of this.#followers) tell([record])
  }

  partitionOf(key: Buffer): number {
    const separator = Buffer.from(this.separator)
    const by = separator.length === 0 ? ({ kind: 'key' } as const) : ({ kind: 'prefix', separator } as const)
    return partitionOf(key, this.partitions, by)
  }
}

const changeOf = (kind: WatchEvent_Kind, row: Row): WatchEvent => ({
  kind,
  row,
  timeMs: row.version * 1000,
  previous: undefined,
  traceparent: '',
})
