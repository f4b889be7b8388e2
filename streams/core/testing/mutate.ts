/** Spoils records: what a broken, outdated or hostile producer might write. Valid ones are the start, so that rubbish gets deep. */
import type { LogRecord, NewRecord } from '../types.ts'
import type { Prng } from './prng.ts'
import { sealPack } from './records.ts'

const NAMES = [
  'tm-op',
  'tm-if-version',
  'tm-ttl-ms',
  'tm-request-id',
  'tm-epoch',
  'content-type',
  'traceparent',
  'tm-',
  'tm-x',
  'x',
  '',
] as const
const WORDS = [
  'put',
  'delete',
  'increment',
  'txn',
  'pack',
  'barrier',
  'lead',
  'tick',
  'mark',
  'format',
  '0',
  '1',
  '-1',
  '9007199254740991',
  '9223372036854775807',
  '1e9',
  '',
  's/1',
  's/9007199254740991',
  '\u0000',
] as const

export function spoil(prng: Prng, record: NewRecord, others: readonly NewRecord[]): NewRecord {
  let spoiled = record
  for (let times = 1 + prng.below(3); times > 0; times--) spoiled = once(prng, spoiled, others)
  return spoiled
}

function once(prng: Prng, record: NewRecord, others: readonly NewRecord[]): NewRecord {
  const other = others[prng.below(others.length)] ?? record
  switch (prng.below(10)) {
    case 0:
      return { ...record, key: bytes(prng, record.key, other.key) }
    case 1:
    case 2:
    case 3:
      return { ...record, value: value(prng, record, other) }
    case 4:
    case 5:
      return { ...record, headers: header(prng, record, other) }
    case 6:
      return { ...record, headers: other.headers }
    case 7:
      return { ...record, value: other.value }
    case 8:
      return { ...record, key: other.key }
    default:
      return record
  }
}

/** The bytes flipped, cut, grown, spliced with others, gone, or new. */
function bytes(prng: Prng, from: Uint8Array | null, other: Uint8Array | null): Uint8Array | null {
  const source = from ?? other
  if (source === null) return prng.chance(50) ? prng.bytes(prng.below(20)) : null
  const at = prng.below(source.length + 1)
  switch (prng.below(9)) {
    case 0:
    case 1: {
      const flipped = Buffer.from(source)
      if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << prng.below(8))
      return flipped
    }
    case 2:
      return source.subarray(0, at)
    case 3:
      return source.subarray(at)
    case 4:
      return Buffer.concat([source.subarray(0, at), prng.bytes(1 + prng.below(4)), source.subarray(at)])
    case 5: {
      const tail = other ?? source
      return Buffer.concat([source.subarray(0, at), tail.subarray(prng.below(tail.length + 1))])
    }
    case 6: {
      const changed = Buffer.from(source)
      if (at < changed.length) changed[at] = prng.pick([0, 0x7f, 0x80, 0xff, prng.below(256)])
      return changed
    }
    case 7:
      return prng.bytes(prng.below(40))
    default:
      return null
  }
}

/** Of a pack mostly what follows its checksum, and then the checksum is made to fit: else no rubbish would get past it. */
function value(prng: Prng, { value: from, headers }: NewRecord, other: NewRecord): Uint8Array | null {
  const operation = headers.get('tm-op')
  if (from === null || from.length < 5 || operation?.length !== 4 || operation[0] !== 0x70 || prng.chance(10))
    return bytes(prng, from, other.value)
  const spoiled = bytes(prng, from.subarray(5), other.value?.subarray(5) ?? null)
  return spoiled === null ? null : sealPack(spoiled)
}

function header(prng: Prng, { headers }: NewRecord, other: NewRecord): NewRecord['headers'] {
  const changed = new Map(headers)
  const names = [...headers.keys()]
  const name =
    names.length === 0 || prng.chance(30) ? prng.pick(NAMES) : (names[prng.below(names.length)] ?? 'tm-op')
  switch (prng.below(5)) {
    case 0:
      changed.delete(name)
      break
    case 1:
      changed.set(name, Buffer.from(prng.pick(WORDS)))
      break
    case 2:
      changed.set(prng.pick(NAMES), changed.get(name) ?? prng.bytes(prng.below(9)))
      break
    case 3:
      for (const [given, content] of other.headers) changed.set(given, content)
      break
    default:
      changed.set(name, bytes(prng, changed.get(name) ?? null, other.value) ?? Buffer.alloc(0))
  }
  return changed
}

/** Mostly forward, sometimes back, rarely what no clock shows. */
export function strangeTime(prng: Prng, time: number): number {
  if (prng.chance(1))
    return prng.pick([-1, 0, 2 ** 48, 2 ** 48 + 1, 2 ** 60, -(2 ** 60), Number.MAX_SAFE_INTEGER])
  return prng.chance(3) ? time - prng.below(1000) : time + prng.below(3)
}

/** Gives it the next sequence of a busy session, or one of its past. */
function identified(prng: Prng, record: NewRecord, offset: number): NewRecord {
  const sequence = prng.chance(80) ? offset : Math.max(0, offset - prng.below(30_000))
  return { ...record, headers: new Map(record.headers).set('tm-request-id', Buffer.from(`busy/${sequence}`)) }
}

/** Writes it in the name of the leader. */
const fenced = (record: NewRecord, epoch: number): NewRecord => ({
  ...record,
  headers: new Map(record.headers).set('tm-epoch', Buffer.from(String(epoch))),
})

const operationOf = ({ headers }: NewRecord): string =>
  Buffer.from(headers.get('tm-op') ?? []).toString('latin1')

/** The records, spoiled, at offsets 0, 1, 2 …; one in eight stays as it is. */
export function spoiledLog(prng: Prng, corpus: readonly NewRecord[], count: number): readonly LogRecord[] {
  let time = 1_700_000_000_000
  let epoch = 0
  return Array.from({ length: count }, (_, offset) => {
    time += prng.below(3)
    const record = corpus[prng.below(corpus.length)]
    if (record === undefined) throw new Error('the corpus is empty')
    let spoiled = prng.chance(12) ? record : spoil(prng, record, corpus)
    if (operationOf(spoiled) === 'lead' && spoiled === record) epoch = offset
    if (operationOf(spoiled) === 'format' && prng.chance(20)) spoiled = fenced(spoiled, epoch)
    return {
      ...(prng.chance(10) ? identified(prng, spoiled, offset) : spoiled),
      offset,
      time: strangeTime(prng, time),
    } as unknown as LogRecord
  })
}
