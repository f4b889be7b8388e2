/**
 * What a partition must do with its records, said as plainly as possible and written from proto/record.md, not from the code that
 * is held against it: one Map of rows, no batches, no indexes, protobuf by the generated code. Slow, small and meant to be read.
 */
import { crc32 } from 'node:zlib'
import { Format, Lead, Mark, Pack, Transaction } from '../../../proto/generated/tidemark/v1/record.ts'
import type { PackMutation, TransactionCompare } from '../../../proto/generated/tidemark/v1/record.ts'
import type { Outcome, Rejection } from '../mutation.ts'
import { murmur2 } from '../partitioner.ts'
import type { LogRecord, Offset } from '../types.ts'
import { WIDE, message } from './model-wire.ts'

const MiB = 1024 * 1024
const CENTURY_MS = 3_153_600_000_000
const INT64 = 2n ** 63n

export interface ModelRow {
  readonly value: string
  readonly version: number
  readonly expiresAt: number
  readonly contentType: string
}

/** Keys and values one character for each byte. */
export interface ModelChange {
  readonly kind: 'put' | 'deleted' | 'expired'
  readonly key: string
  /** Undefined for deleted and expired. */
  readonly row: ModelRow | undefined
  readonly previous: ModelRow | undefined
  readonly traceparent: string | undefined
}

export interface ModelEffects {
  readonly offset: number
  readonly time: number
  readonly outcomes: readonly Outcome[]
  readonly changes: readonly ModelChange[]
  readonly duplicateOf: number | undefined
}

/** One mutation of a row. */
interface Step {
  readonly kind: 'put' | 'delete' | 'increment'
  readonly key: string
  readonly value: string
  readonly ifVersion: number | undefined
  readonly ttlMs: number | undefined
  readonly id: string | undefined
  readonly contentType: string
  readonly traceparent: string | undefined
}

interface RawStep {
  readonly kind: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly ifVersion?: number | undefined
  readonly ttlMs?: number | undefined
  readonly requestId: Uint8Array | undefined
  readonly contentType: Uint8Array | undefined
  readonly traceparent: Uint8Array | undefined
}

interface Session {
  renewed: number
  floor: number
  kept: { readonly sequence: number; readonly outcome: Outcome }[]
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

function utf8(bytes: Uint8Array): string | undefined {
  const decoded = Buffer.from(bytes).toString('utf8')
  return Buffer.from(decoded, 'utf8').equals(bytes) ? decoded : undefined
}

function unsigned(bytes: Uint8Array): number | undefined {
  const digits = text(bytes)
  return /^(0|[1-9][0-9]*)$/.test(digits) && BigInt(digits) < 2n ** 53n ? Number(digits) : undefined
}

function int64(digits: string): bigint | undefined {
  if (!/^(0|-?[1-9][0-9]*)$/.test(digits) || digits.length > 20) return undefined
  const number = BigInt(digits)
  return number >= -INT64 && number < INT64 ? number : undefined
}

const isRejection = <T extends object>(found: T | Rejection): found is Rejection => typeof found === 'string'

/** The checks that need no state; the first that fails names the reason. */
function check(raw: RawStep): Step | Rejection {
  if (raw.ifVersion === WIDE || (raw.kind === 2 && (raw.value ?? []).length > 0)) return 'RECORD_MALFORMED'
  const key = text(raw.key ?? new Uint8Array(0))
  if (key === '') return 'KEY_EMPTY'
  if (key.length > 4096) return 'KEY_TOO_LONG'
  const { ttlMs } = raw
  if (ttlMs !== undefined && (ttlMs < 1 || ttlMs > CENTURY_MS)) return 'TTL_INVALID'
  const id = raw.requestId === undefined ? undefined : utf8(raw.requestId)
  if (raw.requestId !== undefined && (id === undefined || id === '' || raw.requestId.length > 64))
    return 'REQUEST_ID_INVALID'
  const trace =
    raw.traceparent === undefined || raw.traceparent.length > 128 ? undefined : utf8(raw.traceparent)
  const step = {
    key,
    value: text(raw.value ?? new Uint8Array(0)),
    ifVersion: raw.ifVersion,
    ttlMs,
    id,
    contentType: '',
    traceparent: trace === '' ? undefined : trace,
  }
  switch (raw.kind) {
    case 1: {
      const type = utf8(raw.contentType ?? new Uint8Array(0))
      if (type === undefined || Buffer.byteLength(type) > 512) return 'RECORD_MALFORMED'
      return { ...step, kind: 'put', contentType: type }
    }
    case 2:
      return { ...step, kind: 'delete', ttlMs: undefined }
    case 3:
      return int64(step.value) === undefined ? 'NOT_A_NUMBER' : { ...step, kind: 'increment' }
    default:
      return 'UNKNOWN_OPERATION'
  }
}

const ofPack = (mutation: PackMutation): RawStep => ({
  ...mutation,
  requestId: mutation.requestId === '' ? undefined : Buffer.from(mutation.requestId),
  contentType: Buffer.from(mutation.contentType),
  traceparent: Buffer.from(mutation.traceparent),
})

export class Model {
  readonly rows = new Map<string, ModelRow>()
  readonly sessions = new Map<string, Session>()
  readonly partition: number
  readonly partitions: number
  time = 0
  epoch = 0
  leader = ''
  rejected = 0
  ids = 0
  configured = false
  separator = ''
  valueBytesMax = 1 * MiB
  packing = true
  defaultTtlMs = 0
  replication = 0
  /** No row is due before. */
  #dueFrom = Infinity
  /** Of the record in work. */
  #offset = 0
  #changes: ModelChange[] = []

  constructor(partition: number, partitions: number) {
    this.partition = partition
    this.partitions = partitions
  }

  apply(record: LogRecord): ModelEffects | 'stop' {
    const { headers } = record
    const operation = headers.get('tm-op')
    if (operation !== undefined && text(operation) === 'format' && this.#isTooNew(record)) return 'stop'
    this.#offset = record.offset
    this.#changes = []
    if (record.time > this.time && record.time <= 2 ** 48) this.time = record.time
    if (this.#dueFrom <= this.time) this.#expire()
    let duplicateOf: number | undefined
    let outcomes: readonly Outcome[]
    const done = this.#perform(record)
    if (Array.isArray(done)) outcomes = done as readonly Outcome[]
    else {
      outcomes = [(done as { readonly repeated: Outcome }).repeated]
      duplicateOf = outcomes[0]?.offset
    }
    this.rejected += outcomes.filter(({ status, duplicate }) => status === 'rejected' && !duplicate).length
    return { offset: record.offset, time: this.time, outcomes, changes: this.#changes, duplicateOf }
  }

  #expire(): void {
    const due = [...this.rows]
      .filter(([, row]) => row.expiresAt !== 0 && row.expiresAt <= this.time)
      .sort(([a, { expiresAt: x }], [b, { expiresAt: y }]) => x - y || (a < b ? -1 : 1))
    for (const [key] of due.slice(0, 512)) this.#change('expired', key, undefined, undefined)
    this.#dueFrom = Infinity
    for (const { expiresAt } of this.rows.values())
      if (expiresAt !== 0 && expiresAt < this.#dueFrom) this.#dueFrom = expiresAt
  }

  /** What readers see now. */
  live(key: string): ModelRow | undefined {
    const row = this.rows.get(key)
    return row === undefined || (row.expiresAt !== 0 && row.expiresAt <= this.time) ? undefined : row
  }

  // ---- reading a record ----

  #perform(record: LogRecord): readonly Outcome[] | { readonly repeated: Outcome } {
    const { headers, value } = record
    const known = ['tm-op', 'tm-if-version', 'tm-ttl-ms', 'tm-request-id', 'tm-epoch']
    const strange = [...headers.keys()].some((name) => name.startsWith('tm-') && !known.includes(name))
    if (strange) return [this.#reject('RECORD_MALFORMED')]
    const header = headers.get('tm-op')
    const operation = header === undefined ? (value === null ? 'delete' : 'put') : utf8(header)
    switch (operation) {
      case undefined:
        return [this.#reject('RECORD_MALFORMED')]
      case 'put':
      case 'delete':
      case 'increment': {
        const step = this.#readRow(record, operation)
        return [isRejection(step) ? this.#reject(step) : this.#step(step)]
      }
      case 'pack':
        return this.#pack(record)
      case 'txn':
        return [this.#transaction(record)]
      case 'format':
        return this.#format(record)
      case 'lead': {
        const lead = message(Lead, value ?? Buffer.alloc(0))
        if (lead === undefined || lead.nodeId.length > 256 || lead.incarnation.length > 256)
          return [this.#reject('RECORD_MALFORMED')]
        this.epoch = record.offset
        this.leader = lead.nodeId
        return []
      }
      case 'tick': {
        const epoch = unsigned(headers.get('tm-epoch') ?? Buffer.alloc(0))
        if (epoch === undefined) return [this.#reject('RECORD_MALFORMED')]
        return epoch === this.epoch ? [] : [this.#reject('STALE_EPOCH')]
      }
      case 'mark': {
        const epoch = unsigned(headers.get('tm-epoch') ?? Buffer.alloc(0))
        const mark = message(Mark, value ?? Buffer.alloc(0))
        const whole = mark !== undefined && mark.at > 0 && mark.at % 1024 === 0 && mark.chain.length === 32
        if (epoch === undefined || !whole) return [this.#reject('RECORD_MALFORMED')]
        return epoch === this.epoch && epoch !== 0 ? [] : [this.#reject('STALE_EPOCH')]
      }
      case 'barrier':
        return []
      default:
        return [this.#reject('UNKNOWN_OPERATION')]
    }
  }

  #readRow({ key, value, headers }: LogRecord, operation: 'put' | 'delete' | 'increment'): Step | Rejection {
    if (operation !== 'delete' && value === null) return 'RECORD_MALFORMED'
    const ifVersion = headers.get('tm-if-version')
    if (ifVersion !== undefined && unsigned(ifVersion) === undefined) return 'RECORD_MALFORMED'
    const ttl = headers.get('tm-ttl-ms')
    return check({
      kind: { put: 1, delete: 2, increment: 3 }[operation],
      key,
      value,
      ifVersion: ifVersion === undefined ? undefined : unsigned(ifVersion),
      ttlMs: ttl === undefined ? undefined : (unsigned(ttl) ?? -1),
      requestId: headers.get('tm-request-id'),
      contentType: headers.get('content-type'),
      traceparent: headers.get('traceparent'),
    })
  }

  /** What stands inside says when and how long. */
  #hasRowHeaders({ headers }: LogRecord): boolean {
    return headers.has('tm-if-version') || headers.has('tm-ttl-ms')
  }

  /** @returns false where it is there and wrong. */
  #readId({ headers }: LogRecord): string | undefined | false {
    const bytes = headers.get('tm-request-id')
    if (bytes === undefined) return undefined
    const id = bytes.length > 64 ? undefined : utf8(bytes)
    return id === undefined || id === '' ? false : id
  }

  // ---- operations ----

  #pack(record: LogRecord): readonly Outcome[] | { readonly repeated: Outcome } {
    if (this.#hasRowHeaders(record)) return [this.#reject('RECORD_MALFORMED')]
    const id = this.#readId(record)
    if (id === false) return [this.#reject('REQUEST_ID_INVALID')]
    const pack = message(Pack, record.value ?? Buffer.alloc(0))
    const sum = crc32((record.value ?? Buffer.alloc(0)).subarray(5))
    const { mutations } = pack ?? { mutations: [] }
    if (pack?.checksum !== sum || mutations.length === 0 || mutations.length > 16_384)
      return [this.#reject('RECORD_MALFORMED')]
    const seen = id === undefined ? 'new' : this.#recall(id)
    if (seen === 'forgotten') return [this.#reject('REQUEST_ID_FORGOTTEN')]
    if (seen !== 'new') return { repeated: { ...seen, duplicate: true } }
    const keys = new Set<string>()
    const outcomes = mutations.map((mutation) => {
      const step = check(ofPack(mutation))
      if (isRejection(step)) return this.#reject(step)
      if (keys.has(step.key)) return this.#reject('DUPLICATE_KEY')
      keys.add(step.key)
      return this.#step(step)
    })
    if (id !== undefined) this.#remember(id, this.#applied({}))
    return outcomes
  }

  #step(step: Step): Outcome {
    if (this.#isMisplaced(step.key)) return this.#reject('MISPLACED_KEY')
    if (step.kind === 'put' && step.value.length > this.valueBytesMax) return this.#reject('VALUE_TOO_LARGE')
    return this.#once(step.id, () => this.#row(step))
  }

  #row({ kind, key, value, ifVersion, ttlMs, contentType, traceparent }: Step): Outcome {
    const row = this.#living(key)
    if (ifVersion !== undefined && (ifVersion === 0 ? row !== undefined : row?.version !== ifVersion))
      return {
        ...this.#reject('VERSION_MISMATCH'),
        ...(row === undefined ? {} : { version: row.version as Offset }),
      }
    if (kind === 'delete') {
      if (row !== undefined) this.#change('deleted', key, undefined, traceparent)
      return this.#applied({})
    }
    if (kind === 'put') {
      this.#put(key, value, ttlMs, contentType, traceparent)
      return this.#applied({ version: this.#offset as Offset })
    }
    const number = this.#sum(row, value)
    if (typeof number === 'string') return this.#reject(number)
    this.#increment(key, row, number, ttlMs, traceparent)
    return this.#applied({ version: this.#offset as Offset, number })
  }

  #transaction(record: LogRecord): Outcome {
    if (this.#hasRowHeaders(record)) return this.#reject('RECORD_MALFORMED')
    const id = this.#readId(record)
    if (id === false) return this.#reject('REQUEST_ID_INVALID')
    const transaction = message(Transaction, record.value ?? Buffer.alloc(0))
    if (transaction === undefined) return this.#reject('RECORD_MALFORMED')
    const { compares, thenChanges, elseChanges } = transaction
    if (Math.max(compares.length, thenChanges.length, elseChanges.length) > 1024)
      return this.#reject('RECORD_MALFORMED')
    if (compares.some(({ operator, target }) => operator < 1 || operator > 4 || target === undefined))
      return this.#reject('RECORD_MALFORMED')
    if (compares.some(({ target }) => target?.value === WIDE)) return this.#reject('RECORD_MALFORMED')
    for (const { key } of compares) {
      if (key.length === 0) return this.#reject('KEY_EMPTY')
      if (key.length > 4096) return this.#reject('KEY_TOO_LONG')
    }
    const branches: Step[][] = []
    for (const changes of [thenChanges, elseChanges]) {
      const steps: Step[] = []
      for (const change of changes) {
        const raw = { ...change, contentType: Buffer.from(change.contentType) }
        const step = check({ ...raw, requestId: undefined, traceparent: record.headers.get('traceparent') })
        if (isRejection(step)) return this.#reject(step)
        if (steps.some(({ key }) => key === step.key)) return this.#reject('DUPLICATE_KEY')
        steps.push(step)
      }
      branches.push(steps)
    }
    return this.#once(id, () => {
      const keys = [...compares.map(({ key }) => text(key)), ...branches.flat().map(({ key }) => key)]
      if (keys.some((key) => this.#isMisplaced(key))) return this.#reject('MISPLACED_KEY')
      if (branches.flat().some(({ kind, value }) => kind === 'put' && value.length > this.valueBytesMax))
        return this.#reject('VALUE_TOO_LARGE')
      const succeeded = compares.every((compare) => this.#holds(compare))
      const branch = branches[succeeded ? 0 : 1] ?? []
      const sums = branch.map(({ kind, key, value }) =>
        kind === 'increment' ? this.#sum(this.#living(key), value) : 0n,
      )
      const impossible = sums.find((sum) => typeof sum === 'string')
      if (impossible !== undefined) return this.#reject(impossible)
      branch.forEach((step, at) => {
        const row = this.#living(step.key)
        if (step.kind === 'put')
          this.#put(step.key, step.value, step.ttlMs, step.contentType, step.traceparent)
        else if (step.kind === 'increment')
          this.#increment(step.key, row, sums[at] as bigint, step.ttlMs, step.traceparent)
        else if (row !== undefined) this.#change('deleted', step.key, undefined, step.traceparent)
      })
      return this.#applied({ succeeded })
    })
  }

  #format(record: LogRecord): readonly Outcome[] {
    const format = message(Format, record.value ?? Buffer.alloc(0))
    const header = record.headers.get('tm-epoch')
    const epoch = header === undefined ? undefined : unsigned(header)
    const isNew = this.#formatVersion(record) > 1
    if (header !== undefined && epoch === undefined) return [this.#reject('RECORD_MALFORMED')]
    if (isNew) return [this.#reject('STALE_EPOCH')]
    if (format === undefined || format.version === 0) return [this.#reject('RECORD_MALFORMED')]
    const { partitionByPrefix, packingDisabled, defaultTtlMs, replication } = format
    const valueBytesMax = format.valueBytesMax === 0 ? MiB : format.valueBytesMax
    const separator = text(partitionByPrefix)
    const isWide = [format.valueBytesMax, defaultTtlMs].includes(WIDE)
    if (
      isWide ||
      separator.length > 16 ||
      valueBytesMax > 16 * MiB ||
      defaultTtlMs > CENTURY_MS ||
      replication > 1024
    )
      return [this.#reject('RECORD_MALFORMED')]
    if (this.configured) {
      if (!this.#leads(epoch)) return [this.#reject('STALE_EPOCH')]
      if (separator !== this.separator || valueBytesMax < this.valueBytesMax)
        return [this.#reject('SETTING_FIXED')]
    }
    this.configured = true
    this.separator = separator
    this.valueBytesMax = valueBytesMax
    this.packing = !packingDisabled
    this.defaultTtlMs = defaultTtlMs
    this.replication = replication
    return []
  }

  /** Nobody leads in epoch 0. */
  #leads(epoch: number | undefined): boolean {
    return epoch !== undefined && epoch !== 0 && epoch === this.epoch
  }

  /** The varint of field 1, which stands first whatever the rest is. */
  #formatVersion({ value }: LogRecord): number {
    if (value?.[0] !== 8) return 0
    let version = 0
    for (let at = 1; at < value.length; at++) {
      version += ((value[at] ?? 0) & 127) * 2 ** (7 * (at - 1))
      if ((value[at] ?? 0) < 128) return version
    }
    return 0
  }

  #isTooNew(record: LogRecord): boolean {
    if (this.#formatVersion(record) <= 1) return false
    if (
      [...record.headers.keys()].some(
        (name) =>
          name.startsWith('tm-') &&
          !['tm-op', 'tm-epoch', 'tm-request-id', 'tm-ttl-ms', 'tm-if-version'].includes(name),
      )
    )
      return false
    const header = record.headers.get('tm-epoch')
    const epoch = header === undefined ? undefined : unsigned(header)
    if (header !== undefined && epoch === undefined) return false
    return !this.configured || this.#leads(epoch)
  }

  // ---- rows ----

  #change(
    kind: ModelChange['kind'],
    key: string,
    row: ModelRow | undefined,
    traceparent: string | undefined,
  ): void {
    this.#changes.push({ kind, key, row, previous: this.rows.get(key), traceparent })
    if (row === undefined) this.rows.delete(key)
    else {
      this.rows.set(key, row)
      if (row.expiresAt !== 0) this.#dueFrom = Math.min(this.#dueFrom, row.expiresAt)
    }
    this.configured = true
  }

  /** The row that conditions and sums see; one that is due ends first. */
  #living(key: string): ModelRow | undefined {
    const row = this.rows.get(key)
    if (row === undefined || row.expiresAt === 0 || row.expiresAt > this.time) return row
    this.#change('expired', key, undefined, undefined)
    return undefined
  }

  #expiry(ttlMs: number | undefined): number {
    if (ttlMs !== undefined) return this.time + ttlMs
    return this.defaultTtlMs > 0 ? this.time + this.defaultTtlMs : 0
  }

  #put(
    key: string,
    value: string,
    ttlMs: number | undefined,
    contentType: string,
    traceparent: string | undefined,
  ): void {
    const expiresAt = this.#expiry(ttlMs)
    this.#change('put', key, { value, version: this.#offset, expiresAt, contentType }, traceparent)
  }

  #increment(
    key: string,
    row: ModelRow | undefined,
    sum: bigint,
    ttlMs: number | undefined,
    traceparent: string | undefined,
  ): void {
    const expiresAt = row === undefined || ttlMs !== undefined ? this.#expiry(ttlMs) : row.expiresAt
    const contentType = row?.contentType ?? ''
    this.#change(
      'put',
      key,
      { value: String(sum), version: this.#offset, expiresAt, contentType },
      traceparent,
    )
  }

  #sum(row: ModelRow | undefined, delta: string): bigint | Rejection {
    const before = row === undefined ? 0n : int64(row.value)
    if (before === undefined) return 'NOT_A_NUMBER'
    const after = before + (int64(delta) ?? 0n)
    return after >= -INT64 && after < INT64 ? after : 'NUMBER_OVERFLOW'
  }

  #holds({ key, operator, target }: TransactionCompare): boolean {
    const row = this.#living(text(key))
    let order: number
    if (target?.$case === 'value') {
      if (row === undefined) return operator === 2
      order = Buffer.compare(Buffer.from(row.value, 'latin1'), target.value)
    } else if (row === undefined) order = 0 - (target?.value ?? 0)
    // A row that stands has a version over that of a missing one, also where it was written at offset 0.
    else order = (row.version === 0 ? 0.5 : row.version) - (target?.value ?? 0)
    return [order === 0, order !== 0, order > 0, order < 0][operator - 1] ?? false
  }

  #isMisplaced(key: string): boolean {
    const at = this.separator === '' ? -1 : key.indexOf(this.separator)
    const placed = Buffer.from(at < 0 ? key : key.slice(0, at), 'latin1')
    return (murmur2(placed) & 0x7fffffff) % this.partitions !== this.partition
  }

  // ---- request ids ----

  #once(id: string | undefined, perform: () => Outcome): Outcome {
    if (id === undefined) return perform()
    const seen = this.#recall(id)
    if (seen === 'forgotten') return this.#reject('REQUEST_ID_FORGOTTEN')
    if (seen !== 'new') return { ...seen, duplicate: true }
    const outcome = perform()
    this.#remember(id, outcome)
    return outcome
  }

  /** `<session>/<sequence>`, or an id that is a session of its own. */
  #split(id: string): { readonly session: string; readonly sequence: number } {
    const parts = /^(.+)\/(0|[1-9][0-9]{0,15})$/s.exec(id)
    const sequence = Number(parts?.[2])
    if (parts === null || !Number.isSafeInteger(sequence)) return { session: `plain ${id}`, sequence: 0 }
    return { session: `session ${parts[1] ?? ''}`, sequence }
  }

  #recall(id: string): Outcome | 'forgotten' | 'new' {
    const { session, sequence } = this.#split(id)
    const known = this.sessions.get(session)
    if (known === undefined) return 'new'
    const entry = known.kept.find((kept) => kept.sequence === sequence)
    return entry?.outcome ?? (sequence < known.floor ? 'forgotten' : 'new')
  }

  #remember(id: string, outcome: Outcome): void {
    this.ids += 1
    if (this.ids > 2 ** 20)
      for (const [name, { renewed }] of this.sessions)
        if (renewed <= this.ids - 2 ** 20) this.sessions.delete(name)
    const { session: name, sequence } = this.#split(id)
    const session = this.sessions.get(name) ?? { renewed: this.ids, floor: 0, kept: [] }
    this.sessions.set(name, session)
    if (this.ids - session.renewed > 2 ** 17) session.renewed = this.ids
    if (session.kept.some((kept) => kept.sequence === sequence)) return
    if (session.kept.length === 17 * 64)
      for (const { sequence: old } of session.kept.splice(0, 64))
        session.floor = Math.max(session.floor, old + 1)
    session.kept.push({ sequence, outcome })
  }

  // ---- outcomes ----

  #applied(more: Partial<Outcome & { readonly status: 'applied' }>): Outcome {
    return { status: 'applied', offset: this.#offset as Offset, ...more, duplicate: false }
  }

  #reject(reason: Rejection): Outcome & { readonly status: 'rejected' } {
    return { status: 'rejected', offset: this.#offset as Offset, reason, duplicate: false }
  }
}
