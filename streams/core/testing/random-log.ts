/**
 * Random logs of one partition: all kinds of records on a few keys, so that they meet, with times that jump, gaps between offsets,
 * repeated request ids and rubbish. The model runs along, so that conditions, compares and epochs are often right.
 */
import { Pack, Transaction } from '../../../proto/generated/tidemark/v1/record.ts'
import type { PackMutation, TransactionChange } from '../../../proto/generated/tidemark/v1/record.ts'
import { encodeFormat, encodeLead, encodeMark, encodeTick } from '../encode.ts'
import type { Epoch, LogRecord, NewRecord, Offset } from '../types.ts'
import { Model } from './model.ts'
import type { Prng } from './prng.ts'
import { draft, logged, sealPack } from './records.ts'

export interface RandomLogOptions {
  readonly records: number
  readonly partition: number
  readonly partitions: number
  /** Of the rows; the log uses them all, wherever they belong. */
  readonly keys: readonly string[]
  /** Sessions of request ids. */
  readonly sessions?: number
}

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const NUMBERS = [
  '1',
  '-1',
  '0',
  '7',
  '9223372036854775807',
  '-9223372036854775808',
  '5000000000000000000',
] as const
const VALUES = ['', 'a', 'text', '12', '-3', '9223372036854775800', '007', 'ä', '1.5'] as const
/** More than 53 bits. */
const WIDE = [2 ** 53, 2 ** 60, 2 ** 63] as const
const KIND = { put: 1, delete: 2, increment: 3 } as const

export function randomLog(prng: Prng, options: RandomLogOptions): readonly LogRecord[] {
  return new RandomLog(prng, options).make()
}

class RandomLog {
  readonly #prng: Prng
  readonly #options: RandomLogOptions
  readonly #model: Model
  readonly #sequences = new Map<string, number>()
  #offset = 0
  #time = 1000

  constructor(prng: Prng, options: RandomLogOptions) {
    this.#prng = prng
    this.#options = options
    this.#model = new Model(options.partition, options.partitions)
  }

  make(): readonly LogRecord[] {
    const records: LogRecord[] = []
    while (records.length < this.#options.records) {
      const record = logged(this.#offset, this.#nextTime(), this.#draft())
      // A format of the future would end the log here.
      if (this.#model.apply(record) !== 'stop') records.push(record)
      this.#offset += this.#prng.chance(5) ? 1 + this.#prng.below(3) : 1
    }
    return records
  }

  #nextTime(): number {
    const prng = this.#prng
    if (prng.chance(2)) return prng.pick([-1, 2 ** 60, Number.MAX_SAFE_INTEGER, 0, 2 ** 48 + 1])
    if (prng.chance(3)) return this.#time - prng.below(50)
    this.#time += prng.chance(4) ? prng.below(100) : prng.below(4)
    return this.#time
  }

  #key(): string {
    const { keys } = this.#options
    return keys[this.#prng.below(keys.length)] ?? ''
  }

  #value(): string {
    return this.#prng.chance(50) ? `v${this.#offset}` : this.#prng.pick(VALUES)
  }

  #version(key: string): number {
    if (this.#prng.chance(60)) return this.#model.live(key)?.version ?? 0
    return this.#prng.chance(40) ? 0 : this.#prng.below(this.#offset + 2)
  }

  #requestId(): string {
    const prng = this.#prng
    if (prng.chance(10)) return prng.pick(['plain', 'a/b', '/1', 'x/', 'x/01', 's0/9007199254740993', 'ä/3'])
    const session = `s${prng.below(this.#options.sessions ?? 3)}`
    const next = this.#sequences.get(session) ?? 0
    if (next > 0 && prng.chance(15)) return `${session}/${Math.max(0, next - 1 - prng.below(4))}`
    if (prng.chance(3)) return `${session}/${prng.below(next + 1)}`
    this.#sequences.set(session, next + 1)
    return `${session}/${next}`
  }

  #ttl(): number {
    return this.#prng.chance(3) ? this.#prng.pick([1, 3_153_600_000_000]) : 1 + this.#prng.below(60)
  }

  #draft(): NewRecord {
    const roll = this.#prng.below(100)
    if (roll < 40) return this.#row()
    if (roll < 55) return this.#transaction()
    if (roll < 78) return this.#pack()
    if (roll < 90) return this.#control()
    return this.#rubbish()
  }

  #row(): NewRecord {
    const prng = this.#prng
    const key = this.#key()
    const headers: Record<string, string> = {}
    if (prng.chance(30)) headers['tm-if-version'] = String(this.#version(key))
    if (prng.chance(30)) headers['tm-ttl-ms'] = String(this.#ttl())
    if (prng.chance(40)) headers['tm-request-id'] = this.#requestId()
    if (prng.chance(20)) headers['content-type'] = prng.pick(['text/plain', 'application/json', ''])
    if (prng.chance(20)) headers['traceparent'] = TRACE
    if (prng.chance(25))
      return draft(key, null, prng.chance(20) ? { ...headers, 'tm-op': 'delete' } : headers)
    if (prng.chance(30)) return draft(key, prng.pick(NUMBERS), { ...headers, 'tm-op': 'increment' })
    return draft(key, this.#value(), prng.chance(20) ? { ...headers, 'tm-op': 'put' } : headers)
  }

  #mutation(): PackMutation {
    const prng = this.#prng
    const kind = prng.pick(['put', 'put', 'delete', 'increment'])
    const key = this.#key()
    const value = kind === 'put' ? this.#value() : kind === 'increment' ? prng.pick(NUMBERS) : ''
    return {
      kind: prng.chance(1) ? (prng.below(5) as 0) : KIND[kind],
      key: Buffer.from(prng.chance(1) ? '' : key),
      value: Buffer.from(prng.chance(1) ? 'x' : value),
      ifVersion: prng.chance(25) ? (prng.chance(2) ? prng.pick(WIDE) : this.#version(key)) : undefined,
      ttlMs: prng.chance(25) ? (prng.chance(3) ? prng.pick([0, ...WIDE]) : this.#ttl()) : undefined,
      requestId: prng.chance(50) ? this.#requestId() : '',
      contentType: prng.chance(10) ? 'text/plain' : '',
      traceparent: prng.chance(10) ? TRACE : '',
    }
  }

  #pack(): NewRecord {
    const prng = this.#prng
    const mutations = Array.from({ length: 1 + prng.below(prng.chance(5) ? 40 : 6) }, () => this.#mutation())
    const encoded = Pack.encode({ checksum: 1, mutations }).finish()
    const value = sealPack(encoded.subarray(5))
    if (prng.chance(4)) value[prng.below(value.length)] = prng.below(256)
    const id: Record<string, string> = prng.chance(60) ? { 'tm-request-id': this.#requestId() } : {}
    if (prng.chance(2)) id[prng.pick(['tm-if-version', 'tm-ttl-ms'])] = '1'
    return draft(prng.chance(90) ? null : 'ignored', value, { 'tm-op': 'pack', ...id })
  }

  #changes(): TransactionChange[] {
    const prng = this.#prng
    return Array.from({ length: prng.below(4) }, () => {
      const kind = prng.pick(['put', 'put', 'delete', 'increment'])
      return {
        kind: KIND[kind],
        key: Buffer.from(this.#key()),
        value: Buffer.from(kind === 'put' ? this.#value() : kind === 'increment' ? prng.pick(NUMBERS) : ''),
        ttlMs: prng.chance(30) ? (prng.chance(1) ? prng.pick(WIDE) : this.#ttl()) : undefined,
        contentType: kind === 'put' && prng.chance(20) ? 'text/plain' : '',
      }
    })
  }

  #transaction(): NewRecord {
    const prng = this.#prng
    const compares = Array.from({ length: prng.below(3) }, () => {
      const key = this.#key()
      const value = Buffer.from(
        prng.chance(60) ? (this.#model.live(key)?.value ?? '') : this.#value(),
        'latin1',
      )
      const target = prng.chance(60)
        ? ({ $case: 'version', value: prng.chance(1) ? prng.pick(WIDE) : this.#version(key) } as const)
        : ({ $case: 'value', value } as const)
      return { key: Buffer.from(key), operator: prng.chance(2) ? prng.below(6) : 1 + prng.below(4), target }
    })
    const message = { compares, thenChanges: this.#changes(), elseChanges: this.#changes() }
    const value = Buffer.from(Transaction.encode(message).finish())
    return draft(null, prng.chance(4) ? Buffer.concat([value, Buffer.from([0x22, 0])]) : value, {
      'tm-op': 'txn',
      ...(prng.chance(50) ? { 'tm-request-id': this.#requestId() } : {}),
      ...(prng.chance(20) ? { traceparent: TRACE } : {}),
    })
  }

  #control(): NewRecord {
    const prng = this.#prng
    const epoch = (prng.chance(70) ? this.#model.epoch : prng.below(this.#offset + 1)) as Epoch
    switch (prng.below(6)) {
      case 0:
        return encodeLead(`n${prng.below(3)}`, `i${this.#offset}`)
      case 1:
        return encodeTick(epoch)
      case 2:
        // Of a checkpoint far ahead, which no replica can hold against its own.
        return encodeMark({ at: (prng.below(9) * 2 ** 40) as Offset, chain: prng.bytes(32) }, epoch)
      case 3: {
        const model = this.#model
        const mayStand = model.configured && prng.chance(70)
        const format = {
          version: prng.chance(5) ? 2 : 1,
          separator: Buffer.from(mayStand ? model.separator : prng.pick(['', '/', '::'])),
          valueBytesMax: mayStand ? model.valueBytesMax + prng.below(3) : prng.pick([0, 4, 1024, 65_536]),
          packingDisabled: prng.chance(20),
          defaultTtlMs: prng.chance(30) ? this.#ttl() : 0,
          replication: prng.below(4),
        }
        return encodeFormat(format, prng.chance(80) ? epoch : undefined)
      }
      default:
        return draft(null, prng.chance(50) ? null : 'x', { 'tm-op': 'barrier' })
    }
  }

  #rubbish(): NewRecord {
    const prng = this.#prng
    const key = this.#key()
    return prng.pick<() => NewRecord>([
      () => draft(null, null),
      () => draft('', 'no key'),
      () => draft(prng.bytes(4097), 'long key'),
      () => draft(key, 'x', { 'tm-op': 'merge' }),
      () => draft(key, 'x', { 'tm-op': new Uint8Array([0xff]) }),
      () => draft(key, 'x', { 'tm-colour': 'blue' }),
      () => draft(key, 'x', { 'tm-if-version': prng.pick(['-1', '', '01', 'one', '9007199254740992']) }),
      () =>
        draft(key, 'x', {
          'tm-ttl-ms': prng.pick(['0', '-5', '1e3', '', '3153600000001', '99999999999999999']),
        }),
      () => draft(key, 'x', { 'tm-request-id': prng.pick(['', 'x'.repeat(65), 'ä'.repeat(33)]) }),
      () => draft('', '1', { 'tm-op': 'increment', 'tm-request-id': '' }),
      () => draft(null, null, { 'tm-op': 'txn', [prng.pick(['tm-if-version', 'tm-ttl-ms'])]: '1' }),
      () => draft(key, 'x', { 'tm-request-id': new Uint8Array([0x61, 0xc3]) }),
      () => draft(key, prng.pick(['1.5', '+1', '-0', '9223372036854775808', '']), { 'tm-op': 'increment' }),
      () => draft(key, null, { 'tm-op': 'put' }),
      () => draft(key, 'x', { 'tm-op': 'delete' }),
      () =>
        draft(key, prng.bytes(prng.below(80)), {
          'tm-op': prng.pick(['pack', 'txn', 'lead', 'format', 'tick', 'mark']),
        }),
      () => draft(key, 'x', { 'content-type': prng.pick([new Uint8Array([0xff]), Buffer.alloc(513, 'a')]) }),
      () =>
        draft(key, 'x', {
          traceparent: prng.pick([new Uint8Array([0xff]), Buffer.alloc(129, 'a')]),
          'x-other': 'y',
        }),
      () => draft(key, Buffer.alloc(5000, 'v')),
    ])()
  }
}
