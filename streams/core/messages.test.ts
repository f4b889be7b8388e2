import { crc32 } from 'node:zlib'
import { expect } from 'chai'
import fc from 'fast-check'
import { Pack, Transaction } from '../../proto/generated/tidemark/v1/record.ts'
import type {
  PackMutation,
  TransactionChange as WireChange,
} from '../../proto/generated/tidemark/v1/record.ts'
import { MALFORMED } from './bytes.ts'
import { PACK_MUTATIONS_MAX, TXN_OPERATIONS_MAX } from './limits.ts'
import { PackWriter, readPack, readTransaction, writeTransaction } from './messages.ts'
import type { Compare, RowMutation, TransactionChange, TransactionMutation } from './mutation.ts'
import { packs, transactions } from './testing/arbitraries.ts'
import { sealPack } from './testing/records.ts'
import { TAMPERED, hex, refused } from './testing/tampered.ts'

const KIND = { put: 1, delete: 2, increment: 3 } as const
const OPERATORS = ['equal', 'not-equal', 'greater', 'less']

const valueOf = (mutation: RowMutation | TransactionChange): Buffer =>
  mutation.kind === 'put'
    ? Buffer.from(mutation.value)
    : Buffer.from(mutation.kind === 'increment' ? String(mutation.delta) : '')

const wireMutation = (mutation: RowMutation): PackMutation => ({
  kind: KIND[mutation.kind],
  key: Buffer.from(mutation.key),
  value: valueOf(mutation),
  ifVersion: mutation.ifVersion,
  ttlMs: mutation.kind === 'delete' ? undefined : mutation.ttlMs,
  requestId: mutation.requestId ?? '',
  contentType: mutation.kind === 'put' ? (mutation.contentType ?? '') : '',
  traceparent: mutation.traceparent ?? '',
})

const wireChange = (change: TransactionChange): WireChange => ({
  kind: KIND[change.kind],
  key: Buffer.from(change.key),
  value: valueOf(change),
  ttlMs: change.kind === 'delete' ? undefined : change.ttlMs,
  contentType: change.kind === 'put' ? (change.contentType ?? '') : '',
})

const wireTransaction = (mutation: TransactionMutation): Transaction => ({
  compares: mutation.compares.map((compare: Compare) => ({
    key: Buffer.from(compare.key),
    operator: OPERATORS.indexOf(compare.operator) + 1,
    target:
      compare.target === 'version'
        ? { $case: 'version', value: compare.version }
        : { $case: 'value', value: Buffer.from(compare.value) },
  })),
  thenChanges: mutation.thenChanges.map(wireChange),
  elseChanges: mutation.elseChanges.map(wireChange),
})

function packed(mutations: readonly RowMutation[]): Buffer {
  const writer = new PackWriter()
  for (const mutation of mutations) writer.add(mutation)
  expect(writer.mutations).to.equal(mutations.length)
  const { bytes } = writer
  const value = writer.finish()
  expect(value.length, 'the writer knows its size').to.equal(bytes)
  return value
}

const sealed = (mutations: PackMutation[]): Buffer =>
  sealPack(Buffer.from(Pack.encode({ checksum: 1, mutations }).finish()).subarray(5))

describe('messages', () => {
  describe('pack', () => {
    it('is written as generated code writes it, and read by it', () => {
      fc.assert(
        fc.property(packs, (mutations) => {
          const value = packed(mutations)
          expect(value.toString('hex')).to.equal(sealed(mutations.map(wireMutation)).toString('hex'))
          const { checksum, mutations: read } = Pack.decode(value)
          expect(checksum).to.equal(crc32(value.subarray(5)))
          expect(read).to.deep.equal(mutations.map(wireMutation))
        }),
      )
    })

    it('is read as generated code reads it', () => {
      fc.assert(
        fc.property(packs, (mutations) => {
          const wire = mutations.map(wireMutation)
          const read = readPack(sealed(wire)).map((raw) => ({
            ...raw,
            key: Buffer.from(raw.key),
            value: Buffer.from(raw.value),
            requestId: Buffer.from(raw.requestId).toString('utf8'),
            contentType: Buffer.from(raw.contentType).toString('utf8'),
            traceparent: Buffer.from(raw.traceparent).toString('utf8'),
          }))
          expect(read).to.deep.equal(wire)
        }),
      )
    })

    it('is used again after it is finished', () => {
      const writer = new PackWriter()
      const mutation = { kind: 'delete', key: Buffer.from('k') } as const
      writer.add(mutation)
      const first = writer.finish()
      expect([writer.mutations, writer.bytes]).to.deep.equal([0, 5])
      writer.add(mutation)
      expect(writer.finish().equals(first)).to.equal(true)
    })

    const one = packed([
      { kind: 'put', key: Buffer.from('k'), value: Buffer.from('v'), ttlMs: 300, requestId: 's/1' },
    ])

    it('is refused when cut at any byte, with a checksum that fits too', () => {
      for (let end = 0; end < one.length; end++) {
        refused(() => readPack(one.subarray(0, end)), `${end} bytes`)
        if (end > 5)
          refused(() => readPack(sealPack(one.subarray(5, end))), `${end} bytes and a new checksum`)
      }
    })

    it('is refused when any bit is flipped', () => {
      for (let bit = 0; bit < one.length * 8; bit++) {
        const bad = Buffer.from(one)
        bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        refused(() => readPack(bad), `bit ${bit}`)
      }
    })

    it('is refused without mutations, without checksum, with the checksum at the end', () => {
      refused(() => readPack(hex('')), 'nothing')
      refused(() => readPack(sealPack(hex(''))), 'no mutation')
      refused(() => readPack(one.subarray(5)), 'no checksum')
      refused(() => readPack(Buffer.concat([one.subarray(5), one.subarray(0, 5)])), 'checksum last')
      refused(() => readPack(sealPack(Buffer.concat([one.subarray(0, 5), one.subarray(5)]))), 'two checksums')
    })

    const mutation = hex('08 01 12 01 6b 1a 01 76')
    const wrap = (message: Buffer): Buffer =>
      sealPack(Buffer.concat([Buffer.from([0x12, message.length]), message]))
    for (const [name, tamper] of Object.entries(TAMPERED))
      it(`is refused when a mutation has ${name}`, () => {
        readPack(wrap(mutation))
        refused(() => readPack(wrap(tamper(mutation))), name)
      })
    it('is refused when the fields of a mutation do not rise', () => {
      refused(() => readPack(wrap(hex('12 01 6b 08 01 1a 01 76'))), 'key before kind')
    })

    it('reads a number of more than 53 bits as Infinity, and what stands around it as it is', () => {
      const wide = {
        '2^53': '80 80 80 80 80 80 80 10',
        '2^63': '80 80 80 80 80 80 80 80 80 01',
        'all of 64 bits': 'ff ff ff ff ff ff ff ff ff 01',
      }
      for (const [name, number] of Object.entries(wide))
        for (const [field, tag] of [
          ['kind', '08'],
          ['ifVersion', '20'],
          ['ttlMs', '28'],
        ] as const) {
          const kind = field === 'kind' ? '' : '08 01'
          const before = field === 'kind' ? `${tag} ${number}` : ''
          const after = field === 'kind' ? '' : `${tag} ${number}`
          const [raw] = readPack(wrap(hex(`${kind}${before} 12 01 6b ${after} 32 03 732f31`)))
          expect(raw?.[field], `${field} ${name}`).to.equal(Infinity)
          expect(Buffer.from(raw?.requestId ?? []).toString(), name).to.equal('s/1')
        }
      const [largest] = readPack(wrap(hex('08 01 12 01 6b 20 ff ff ff ff ff ff ff 0f')))
      expect(largest?.ifVersion).to.equal(Number.MAX_SAFE_INTEGER)
    })
    it('is refused with a number of more than 64 bits, or one that is padded', () => {
      for (const number of [
        '80 80 80 80 80 80 80 80 80 02',
        '80 80 80 80 80 80 80 80 80 80 01',
        '80 80 80 80 80 80 80 80 80 00',
        '81 00',
      ])
        refused(() => readPack(wrap(hex(`08 01 12 01 6b 28 ${number}`))), number)
    })
    it('is refused with a length of more than 53 bits', () => {
      refused(() => readPack(wrap(hex('08 01 12 80 80 80 80 80 80 80 10'))), 'of a key')
    })

    it('takes a default value that is written out, as some serializers do', () => {
      const [raw] = readPack(wrap(hex('08 02 12 01 6b 1a 00 32 00')))
      expect(raw).to.deep.include({ kind: 2, ifVersion: undefined, ttlMs: undefined })
      expect(raw?.value).to.have.length(0)
    })

    it(`takes ${PACK_MUTATIONS_MAX} mutations and not one more`, () => {
      const many = (count: number): Buffer =>
        sealPack(Buffer.concat(Array.from({ length: count }, () => hex('12 02 08 02'))))
      expect(readPack(many(PACK_MUTATIONS_MAX))).to.have.length(PACK_MUTATIONS_MAX)
      refused(() => readPack(many(PACK_MUTATIONS_MAX + 1)), 'one more')
    })
  })

  describe('transaction', () => {
    it('is written as generated code writes it, and read by it', () => {
      fc.assert(
        fc.property(transactions, (mutation) => {
          const value = writeTransaction(mutation)
          const wire = wireTransaction(mutation)
          expect(value.toString('hex')).to.equal(
            Buffer.from(Transaction.encode(wire).finish()).toString('hex'),
          )
          expect(Transaction.decode(value)).to.deep.equal(wire)
        }),
      )
    })

    it('is read as it was written', () => {
      fc.assert(
        fc.property(transactions, (mutation) => {
          const { compares, thenChanges, elseChanges } = readTransaction(writeTransaction(mutation))
          expect(
            compares.map((compare) => ({
              ...compare,
              key: Buffer.from(compare.key),
              ...(compare.target === 'value' ? { value: Buffer.from(compare.value) } : {}),
            })),
          ).to.deep.equal(mutation.compares)
          const shown = (
            list: readonly { kind: number; key: Uint8Array; value: Uint8Array; ttlMs: number | undefined }[],
          ): unknown =>
            list.map(({ kind, key, value, ttlMs }) => [kind, Buffer.from(key), Buffer.from(value), ttlMs])
          expect(shown(thenChanges)).to.deep.equal(shown(mutation.thenChanges.map(wireChange) as never))
          expect(shown(elseChanges)).to.deep.equal(shown(mutation.elseChanges.map(wireChange) as never))
        }),
      )
    })

    it('may be empty', () => {
      expect(readTransaction(hex(''))).to.deep.equal({ compares: [], thenChanges: [], elseChanges: [] })
    })

    const key = Buffer.from('k')
    const value = writeTransaction({
      kind: 'txn',
      compares: [{ key, operator: 'less', target: 'version', version: 300 as never }],
      thenChanges: [{ kind: 'put', key, value: key, ttlMs: 5, contentType: 'text/plain' }],
      elseChanges: [{ kind: 'increment', key, delta: -1n }],
    })

    it('is refused when cut inside a list', () => {
      for (let end = 0; end < value.length; end++) {
        const cut = value.subarray(0, end)
        let read = true
        try {
          readTransaction(cut)
        } catch (caught) {
          expect(caught).to.equal(MALFORMED)
          read = false
        }
        // Between two members of the lists the rest is a transaction of its own.
        expect(read, `${end} bytes`).to.equal(
          Buffer.from(Transaction.encode(tryDecode(cut)).finish()).equals(cut),
        )
      }
    })

    const compare = hex('0a 01 6b 10 01 18 05')
    const change = hex('08 01 12 01 6b 1a 01 76')
    const inField = (field: number, message: Buffer): Buffer =>
      Buffer.concat([Buffer.from([(field << 3) | 2, message.length]), message])
    for (const [name, tamper] of Object.entries(TAMPERED))
      it(`is refused when a compare or a change has ${name}`, () => {
        for (const [field, message] of [
          [1, compare],
          [2, change],
          [3, change],
        ] as const) {
          readTransaction(inField(field, message))
          refused(() => readTransaction(inField(field, tamper(message))), `field ${field}: ${name}`)
        }
      })

    const wrong = {
      'lists that do not rise': Buffer.concat([inField(2, change), inField(1, compare)]),
      'a fourth list': inField(4, change),
      'field 0': inField(0, change),
      'no operator': inField(1, hex('0a 01 6b 18 05')),
      'operator 0': inField(1, hex('0a 01 6b 10 00 18 05')),
      'operator 5': inField(1, hex('0a 01 6b 10 05 18 05')),
      'no target': inField(1, hex('0a 01 6b 10 01')),
      'two targets': inField(1, hex('0a 01 6b 10 01 18 05 22 01 76')),
      'a version over 2^53': inField(1, hex('0a 01 6b 10 01 18 80 80 80 80 80 80 80 80 01')),
    }
    for (const [name, bytes] of Object.entries(wrong))
      it(`is refused with ${name}`, () => refused(() => readTransaction(bytes), name))

    it(`takes ${TXN_OPERATIONS_MAX} members of a list and not one more`, () => {
      for (const [field, message] of [
        [1, compare],
        [2, change],
        [3, change],
      ] as const) {
        const many = (count: number): Buffer =>
          Buffer.concat(Array.from({ length: count }, () => inField(field, message)))
        readTransaction(many(TXN_OPERATIONS_MAX))
        refused(() => readTransaction(many(TXN_OPERATIONS_MAX + 1)), `list ${field}`)
      }
    })
  })
})

function tryDecode(bytes: Uint8Array): Transaction {
  try {
    return Transaction.decode(bytes)
  } catch {
    return {
      compares: [{ key: Buffer.alloc(0), operator: 99, target: undefined }],
      thenChanges: [],
      elseChanges: [],
    }
  }
}
