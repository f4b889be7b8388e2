import { expect } from 'chai'
import fc from 'fast-check'
import type { Command } from './command.ts'
import { FORMAT_VERSION, decodeRecord } from './decode.ts'
import {
  encodeBarrier,
  encodeProof,
  encodeFormat,
  encodeLead,
  encodeMutation,
  encodePack,
  encodeTick,
} from './encode.ts'
import { KEY_BYTES_MAX, REPLICATION_MAX, TTL_MS_MAX, VALUE_BYTES_CEILING } from './limits.ts'
import { PackWriter, writeTransaction } from './messages.ts'
import type { Rejection, RowMutation } from './mutation.ts'
import { mutations, packs } from './testing/arbitraries.ts'
import { draft, logged, sealPack } from './testing/records.ts'
import type { Epoch, NewRecord } from './types.ts'

const decode = (record: NewRecord): Command => decodeRecord(logged(0, 0, record))
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** A command without the difference between a Buffer and other bytes. */
function shown(value: unknown): unknown {
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return value.map(shown)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shown(member)]))
  return value
}
const expectStep = (record: NewRecord, step: object): Chai.Assertion =>
  expect(shown(decode(record))).to.deep.equal(shown({ kind: 'row', step }))
/** Whether a mutation or the whole record is rejected is the same for who asks. */
function reasonOf(record: NewRecord): Rejection | undefined {
  const command = decode(record)
  if (command.kind === 'rejected') return command.reason
  return command.kind === 'row' && command.step.kind === 'rejected' ? command.step.reason : undefined
}
const key = Buffer.from('k')
const value = Buffer.from('v')

describe('decode', () => {
  it('reads what encode wrote: every mutation', () => {
    fc.assert(
      fc.property(mutations, (mutation) => {
        // No content type is the same as an empty one.
        const command = decode(encodeMutation(mutation))
        const wanted = mutation.kind === 'txn' ? { kind: 'txn', mutation } : { kind: 'row', step: mutation }
        expect(shown(command)).to.deep.equal(shown(wanted))
      }),
      { numRuns: 500 },
    )
  })

  it('reads what encode wrote: packs', () => {
    fc.assert(
      fc.property(packs, (steps) => {
        const writer = new PackWriter()
        for (const step of steps) writer.add(step)
        const command = decode(encodePack(writer.finish(), 's/1'))
        expect(shown(command)).to.deep.equal(shown({ kind: 'pack', steps, requestId: 's/1' }))
      }),
    )
  })

  it('reads what encode wrote: control records', () => {
    const epoch = 7 as Epoch
    const format = {
      version: FORMAT_VERSION,
      separator: Buffer.from('/'),
      valueBytesMax: 10,
      packingDisabled: true,
      defaultTtlMs: 60_000,
      replication: 3,
    }
    expect(decode(encodeLead('n', 'i'))).to.deep.equal({ kind: 'lead', nodeId: 'n', incarnation: 'i' })
    expect(decode(encodeTick(epoch))).to.deep.equal({ kind: 'tick', epoch })
    expect(decode(encodeBarrier())).to.deep.equal({ kind: 'barrier' })
    expect(decode(encodeProof())).to.deep.equal({ kind: 'barrier', proof: true })
    expect(decode({ ...encodeBarrier(), value: Buffer.from('proofs') })).to.deep.equal({ kind: 'barrier' })
    const read = {
      kind: 'format',
      version: 1,
      partitionBy: { kind: 'prefix', separator: '0x2f' },
      valueBytesMax: 10,
      packing: false,
      defaultTtlMs: 60_000,
      replication: 3,
    }
    expect(shown(decode(encodeFormat(format)))).to.deep.equal({ ...read, epoch: undefined })
    expect(shown(decode(encodeFormat(format, epoch)))).to.deep.equal({ ...read, epoch })
    expect(decode(encodeFormat({ version: 1 }))).to.deep.include({
      partitionBy: { kind: 'key' },
      valueBytesMax: 1024 * 1024,
      packing: true,
      defaultTtlMs: 0,
      replication: 0,
    })
  })

  describe('a record without headers', () => {
    it('puts its value, an empty one too', () => {
      expectStep(draft('k', 'v'), { kind: 'put', key, value })
      expectStep(draft('k', ''), { kind: 'put', key, value: hex('') })
    })
    it('deletes with a null value', () => expectStep(draft('k', null), { kind: 'delete', key }))
    it('needs a key of 1 to 4,096 bytes', () => {
      expect(reasonOf(draft(null, 'v'))).to.equal('KEY_EMPTY')
      expect(reasonOf(draft('', 'v'))).to.equal('KEY_EMPTY')
      expect(reasonOf(draft(Buffer.alloc(KEY_BYTES_MAX + 1), 'v'))).to.equal('KEY_TOO_LONG')
      expect(reasonOf(draft(Buffer.alloc(KEY_BYTES_MAX), 'v'))).to.equal(undefined)
    })
  })

  describe('headers', () => {
    it('of others are passed over, also in capitals', () => {
      expectStep(draft('k', 'v', { 'x-tm-op': 'delete', 'TM-OP': 'delete', tm: 'x', tracestate: 'a=b' }), {
        kind: 'put',
        key,
        value,
      })
    })
    const applied: readonly (readonly [string, NewRecord, object])[] = [
      ['tm-op put', draft('k', 'v', { 'tm-op': 'put' }), { kind: 'put', key, value }],
      ['tm-op delete', draft('k', null, { 'tm-op': 'delete' }), { kind: 'delete', key }],
      ['tm-op delete with an empty value', draft('k', '', { 'tm-op': 'delete' }), { kind: 'delete', key }],
      ['tm-op increment', draft('k', '-5', { 'tm-op': 'increment' }), { kind: 'increment', key, delta: -5n }],
      ['tm-if-version', draft('k', 'v', { 'tm-if-version': '0' }), { kind: 'put', key, value, ifVersion: 0 }],
      ['tm-ttl-ms', draft('k', 'v', { 'tm-ttl-ms': '1' }), { kind: 'put', key, value, ttlMs: 1 }],
      [
        'the longest tm-ttl-ms',
        draft('k', 'v', { 'tm-ttl-ms': String(TTL_MS_MAX) }),
        { kind: 'put', key, value, ttlMs: TTL_MS_MAX },
      ],
      [
        'tm-ttl-ms on a delete, which has no use for it',
        draft('k', null, { 'tm-ttl-ms': '5' }),
        { kind: 'delete', key },
      ],
      [
        'tm-request-id',
        draft('k', 'v', { 'tm-request-id': 'ä' }),
        { kind: 'put', key, value, requestId: 'ä' },
      ],
      [
        'content-type',
        draft('k', 'v', { 'content-type': 'a/b' }),
        { kind: 'put', key, value, contentType: 'a/b' },
      ],
      ['an empty content-type', draft('k', 'v', { 'content-type': '' }), { kind: 'put', key, value }],
      [
        'a content-type of a delete',
        draft('k', null, { 'content-type': hex('ff') }),
        { kind: 'delete', key },
      ],
      [
        'traceparent',
        draft('k', 'v', { traceparent: '00-1' }),
        { kind: 'put', key, value, traceparent: '00-1' },
      ],
      [
        'a bad traceparent, which changes nothing',
        draft('k', 'v', { traceparent: hex('ff') }),
        { kind: 'put', key, value },
      ],
      [
        'a long traceparent, likewise',
        draft('k', 'v', { traceparent: 'x'.repeat(129) }),
        { kind: 'put', key, value },
      ],
    ]
    for (const [name, record, step] of applied) it(`reads ${name}`, () => expectStep(record, step))
  })

  describe('rejects', () => {
    const wrong: readonly (readonly [Rejection, string, NewRecord])[] = [
      ['RECORD_MALFORMED', 'a header of tm- that does not exist', draft('k', 'v', { 'tm-colour': 'blue' })],
      ['RECORD_MALFORMED', 'a misspelt header', draft('k', 'v', { 'tm-ifversion': '1' })],
      ['RECORD_MALFORMED', 'tm-op that is no UTF-8', draft('k', 'v', { 'tm-op': hex('ff') })],
      ['UNKNOWN_OPERATION', 'an unknown tm-op', draft('k', 'v', { 'tm-op': 'merge' })],
      ['UNKNOWN_OPERATION', 'an empty tm-op', draft('k', 'v', { 'tm-op': '' })],
      ['UNKNOWN_OPERATION', 'tm-op in capitals', draft('k', 'v', { 'tm-op': 'PUT' })],
      ['UNKNOWN_OPERATION', 'tm-op with a space', draft('k', 'v', { 'tm-op': 'put ' })],
      ['RECORD_MALFORMED', 'a put of null', draft('k', null, { 'tm-op': 'put' })],
      ['RECORD_MALFORMED', 'an increment of null', draft('k', null, { 'tm-op': 'increment' })],
      ['RECORD_MALFORMED', 'a delete with a value', draft('k', 'v', { 'tm-op': 'delete' })],
      ...['', '-1', '+1', '01', 'one', '1.0', '9007199254740992'].map(
        (text) =>
          [
            'RECORD_MALFORMED',
            `tm-if-version ${JSON.stringify(text)}`,
            draft('k', 'v', { 'tm-if-version': text }),
          ] as const,
      ),
      ...['', '0', '-5', '1e3', '01', '3153600000001', '9007199254740992', '99999999999999999999'].map(
        (text) =>
          [
            'TTL_INVALID',
            `tm-ttl-ms ${JSON.stringify(text)}`,
            draft('k', 'v', { 'tm-ttl-ms': text }),
          ] as const,
      ),
      ['TTL_INVALID', 'tm-ttl-ms 0 on a delete', draft('k', null, { 'tm-ttl-ms': '0' })],
      ['REQUEST_ID_INVALID', 'an empty request id', draft('k', 'v', { 'tm-request-id': '' })],
      [
        'REQUEST_ID_INVALID',
        'a request id of 65 bytes',
        draft('k', 'v', { 'tm-request-id': 'x'.repeat(65) }),
      ],
      [
        'REQUEST_ID_INVALID',
        'a request id that is no UTF-8',
        draft('k', 'v', { 'tm-request-id': hex('61 c3') }),
      ],
      [
        'RECORD_MALFORMED',
        'a content type of 513 bytes',
        draft('k', 'v', { 'content-type': 'x'.repeat(513) }),
      ],
      ['RECORD_MALFORMED', 'a content type that is no UTF-8', draft('k', 'v', { 'content-type': hex('ff') })],
      ...['', 'ten', '1.5', '+1', '-0', '9223372036854775808', '-9223372036854775809'].map(
        (text) =>
          [
            'NOT_A_NUMBER',
            `an increment by ${JSON.stringify(text)}`,
            draft('k', text, { 'tm-op': 'increment' }),
          ] as const,
      ),
      [
        'KEY_EMPTY',
        'no key, before anything that is wrong with the rest',
        draft(null, 'x', { 'tm-op': 'increment', 'tm-ttl-ms': '0', 'tm-request-id': 'x'.repeat(65) }),
      ],
      [
        'KEY_EMPTY',
        'no key, before an empty request id',
        draft(null, '1', { 'tm-op': 'increment', 'tm-request-id': '' }),
      ],
      [
        'REQUEST_ID_INVALID',
        'an empty request id, before what to add',
        draft('k', 'x', { 'tm-op': 'increment', 'tm-request-id': '' }),
      ],
      [
        'RECORD_MALFORMED',
        'a delete with a value, before its key',
        draft('', 'v', { 'tm-op': 'delete', 'tm-ttl-ms': '0' }),
      ],
      [
        'TTL_INVALID',
        'a ttl before a request id',
        draft('k', 'v', { 'tm-ttl-ms': '0', 'tm-request-id': 'x'.repeat(65) }),
      ],
      ['RECORD_MALFORMED', 'a pack of rubbish', draft(null, 'rubbish', { 'tm-op': 'pack' })],
      ['RECORD_MALFORMED', 'a pack of null', draft(null, null, { 'tm-op': 'pack' })],
      [
        'REQUEST_ID_INVALID',
        'a pack with an empty request id',
        draft(null, 'rubbish', { 'tm-op': 'pack', 'tm-request-id': '' }),
      ],
      ['RECORD_MALFORMED', 'a transaction of rubbish', draft(null, 'rubbish', { 'tm-op': 'txn' })],
      [
        'REQUEST_ID_INVALID',
        'a transaction with a long request id',
        draft(null, null, { 'tm-op': 'txn', 'tm-request-id': 'x'.repeat(65) }),
      ],
      ['RECORD_MALFORMED', 'a tick without epoch', draft(null, null, { 'tm-op': 'tick' })],
      [
        'RECORD_MALFORMED',
        'a tick with a bad epoch',
        draft(null, null, { 'tm-op': 'tick', 'tm-epoch': 'x' }),
      ],
      ['RECORD_MALFORMED', 'a lead of rubbish', draft(null, 'rubbish', { 'tm-op': 'lead' })],
      ['RECORD_MALFORMED', 'a format of rubbish', draft(null, 'rubbish', { 'tm-op': 'format' })],
      ['RECORD_MALFORMED', 'a format of null', draft(null, null, { 'tm-op': 'format' })],
      [
        'RECORD_MALFORMED',
        'a format with a bad epoch',
        draft(null, hex('08 01'), { 'tm-op': 'format', 'tm-epoch': '' }),
      ],
      ['RECORD_MALFORMED', 'format 0', draft(null, hex('08 00'), { 'tm-op': 'format' })],
      [
        'RECORD_MALFORMED',
        'a separator of 17 bytes',
        encodeFormat({ version: 1, separator: Buffer.alloc(17, '/') }),
      ],
      [
        'RECORD_MALFORMED',
        'values over the ceiling',
        encodeFormat({ version: 1, valueBytesMax: VALUE_BYTES_CEILING + 1 }),
      ],
      [
        'RECORD_MALFORMED',
        'a default time to live over the limit',
        encodeFormat({ version: 1, defaultTtlMs: TTL_MS_MAX + 1 }),
      ],
      [
        'RECORD_MALFORMED',
        'more replicas than there may be',
        encodeFormat({ version: 1, replication: REPLICATION_MAX + 1 }),
      ],
      ...['tm-if-version', 'tm-ttl-ms'].flatMap((name) =>
        ['pack', 'txn'].map(
          (operation) =>
            [
              'RECORD_MALFORMED',
              `${name} on a ${operation}, before anything else is looked at`,
              draft(null, operation === 'txn' ? '' : 'rubbish', {
                'tm-op': operation,
                'tm-request-id': '',
                [name]: '1',
              }),
            ] as const,
        ),
      ),
    ]
    for (const [reason, name, record] of wrong)
      it(`${reason}: ${name}`, () => expect(reasonOf(record)).to.equal(reason))
  })

  it('tells a format of the future from a malformed one, whatever its rest is', () => {
    const record = draft(null, hex('08 02 ff ff'), { 'tm-op': 'format', 'tm-epoch': '9' })
    expect(decode(record)).to.deep.equal({ kind: 'too-new', version: 2, epoch: 9 })
  })

  describe('a pack', () => {
    const packOf = (...steps: readonly RowMutation[]): NewRecord => {
      const writer = new PackWriter()
      for (const step of steps) writer.add(step)
      return draft(null, writer.finish(), { 'tm-op': 'pack' })
    }
    const reasons = (record: NewRecord): unknown => {
      const command = decode(record)
      expect(command.kind).to.equal('pack')
      return command.kind === 'pack'
        ? command.steps.map((step) => (step.kind === 'rejected' ? step.reason : step.kind))
        : []
    }
    const put = (name: string, more: object = {}): RowMutation => ({
      kind: 'put',
      key: Buffer.from(name),
      value,
      ...more,
    })

    it('rejects each mutation for itself', () => {
      expect(
        reasons(
          packOf(put('a'), put(''), put('b', { ttlMs: 0 }), put('c', { requestId: 'x'.repeat(65) }), {
            kind: 'delete',
            key,
          }),
        ),
      ).to.deep.equal(['put', 'KEY_EMPTY', 'TTL_INVALID', 'REQUEST_ID_INVALID', 'delete'])
    })
    it('rejects a second mutation of a key, but not after one that was rejected', () => {
      expect(reasons(packOf(put('a'), put('b'), { kind: 'delete', key: Buffer.from('a') }))).to.deep.equal([
        'put',
        'put',
        'DUPLICATE_KEY',
      ])
      expect(reasons(packOf(put('a', { ttlMs: 0 }), put('a'), put('a')))).to.deep.equal([
        'TTL_INVALID',
        'put',
        'DUPLICATE_KEY',
      ])
    })
    it('rejects a delete with a value, as it stands in a record of its own', () => {
      const pack = sealPack(hex('12 08 08 02 12 01 61 1a 01 76  12 05 08 02 12 01 62  12 05 08 02 1a 01 76'))
      expect(reasons(draft(null, pack, { 'tm-op': 'pack' }))).to.deep.equal([
        'RECORD_MALFORMED',
        'delete',
        'RECORD_MALFORMED',
      ])
    })
    it('rejects numbers of more than 53 bits in the one mutation that has them', () => {
      const number = '80 80 80 80 80 80 80 10'
      const pack = sealPack(
        hex(
          `12 0e 08 01 12 01 61 20 ${number}  12 0e 08 01 12 01 62 28 ${number}` +
            `  12 0c 08 ${number} 12 01 63  12 05 08 01 12 01 64`,
        ),
      )
      expect(reasons(draft(null, pack, { 'tm-op': 'pack' }))).to.deep.equal([
        'RECORD_MALFORMED',
        'TTL_INVALID',
        'UNKNOWN_OPERATION',
        'put',
      ])
    })
    it('rejects kinds that it does not know', () => {
      const pack = sealPack(hex('12 05 08 00 12 01 61  12 05 08 07 12 01 62  12 05 08 01 12 01 63'))
      expect(reasons(draft(null, pack, { 'tm-op': 'pack' }))).to.deep.equal([
        'UNKNOWN_OPERATION',
        'UNKNOWN_OPERATION',
        'put',
      ])
    })
    it('rejects text that is no UTF-8 in the one mutation that has it', () => {
      const id = hex('12 08 08 01 12 01 61 32 01 ff')
      const type = hex('12 08 08 01 12 01 62 3a 01 ff')
      const trace = hex('12 08 08 01 12 01 63 42 01 ff')
      expect(
        reasons(draft(null, sealPack(Buffer.concat([id, type, trace])), { 'tm-op': 'pack' })),
      ).to.deep.equal(['REQUEST_ID_INVALID', 'RECORD_MALFORMED', 'put'])
    })
  })

  describe('a transaction', () => {
    const txn = (parts: Partial<Parameters<typeof writeTransaction>[0]>): NewRecord =>
      draft(
        null,
        writeTransaction({ kind: 'txn', compares: [], thenChanges: [], elseChanges: [], ...parts }),
        { 'tm-op': 'txn' },
      )
    const put = { kind: 'put', key, value } as const

    it('is rejected as a whole for any of its parts', () => {
      const compare = { operator: 'equal', target: 'version', version: 0 as never } as const
      expect(reasonOf(txn({ compares: [{ key: hex(''), ...compare }] }))).to.equal('KEY_EMPTY')
      expect(reasonOf(txn({ compares: [{ key: Buffer.alloc(4097), ...compare }] }))).to.equal('KEY_TOO_LONG')
      expect(reasonOf(txn({ thenChanges: [put, { kind: 'delete', key }] }))).to.equal('DUPLICATE_KEY')
      expect(reasonOf(txn({ elseChanges: [put, put] }))).to.equal('DUPLICATE_KEY')
      expect(reasonOf(txn({ elseChanges: [{ ...put, ttlMs: TTL_MS_MAX + 1 }] }))).to.equal('TTL_INVALID')
      expect(reasonOf(txn({ thenChanges: [{ ...put, contentType: 'x'.repeat(513) }] }))).to.equal(
        'RECORD_MALFORMED',
      )
    })
    it('is rejected for a delete with a value, and for numbers of more than 53 bits', () => {
      const number = '80 80 80 80 80 80 80 10'
      const of = (value: string): NewRecord => draft(null, hex(value), { 'tm-op': 'txn' })
      expect(reasonOf(of('12 08 08 02 12 01 61 1a 01 76'))).to.equal('RECORD_MALFORMED')
      expect(reasonOf(of(`12 0e 08 01 12 01 61 20 ${number}`))).to.equal('TTL_INVALID')
      expect(reasonOf(of(`12 0c 08 ${number} 12 01 61`))).to.equal('UNKNOWN_OPERATION')
      expect(reasonOf(of(`0a 0e 0a 01 61 10 01 18 ${number}`))).to.equal('RECORD_MALFORMED')
    })
    it('may change a key in each branch, and compare it twice', () => {
      const compare = { key, operator: 'not-equal', target: 'value', value } as const
      expect(
        reasonOf(txn({ compares: [compare, compare], thenChanges: [put], elseChanges: [put] })),
      ).to.equal(undefined)
    })
    it('may have a key of its own in the record, which says nothing', () => {
      expect(decode({ ...txn({}), key })).to.have.property('kind', 'txn')
    })
  })
})
