import { expect } from 'chai'
import fc from 'fast-check'
import { GetRequest, GetResponse } from '../proto/generated/tidemark/v1/key_value_service.ts'
import { TidemarkError } from '../streams/core/errors.ts'
import { WireReader, WireWriter, decodeGenerated, encodeGenerated, varintSize } from './wire.ts'

const uint = fc.oneof(
  fc.maxSafeNat(),
  fc.constantFrom(0, 127, 128, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
)

describe("protobuf's wire format", () => {
  it('encodes messages as the generated code does, one after another and after a failure', () => {
    const response = fc
      .record({ logEnd: uint, version: uint, value: fc.uint8Array({ maxLength: 300 }), nodeId: fc.string() })
      .map(({ logEnd, version, value, nodeId }) =>
        GetResponse.create({ header: { logEnd, nodeId }, row: { version, value: Buffer.from(value) } }),
      )
    fc.assert(
      fc.property(response, fc.boolean(), (message, fails) => {
        const wrong = { ...message, row: { partition: -1 } } as unknown as GetResponse
        if (fails) expect(() => encodeGenerated(GetResponse, wrong)).to.throw()
        const bytes = encodeGenerated(GetResponse, message)
        expect(bytes.toString('hex')).to.equal(
          Buffer.from(GetResponse.encode(message).finish()).toString('hex'),
        )
        expect(decodeGenerated(GetResponse, bytes)).to.deep.equal(message)
      }),
    )
  })

  it('gives each message bytes of its own', () => {
    const first = encodeGenerated(GetRequest, GetRequest.create({ key: Buffer.from('first') }))
    const before = Buffer.from(first)
    encodeGenerated(GetRequest, GetRequest.create({ key: Buffer.from('other') }))
    expect(first).to.deep.equal(before)
  })

  it('writes numbers in the bytes that it said it would, and reads them back', () => {
    fc.assert(
      fc.property(uint, (value) => {
        const bytes = (() => {
          const writer = new WireWriter(1 + varintSize(value))
          writer.number(0x08, value)
          return writer.finish()
        })()
        expect(bytes).to.have.length(1 + varintSize(value))
        const reader = new WireReader(bytes)
        expect(reader.tag()).to.equal(0x08)
        expect(reader.uint()).to.equal(value)
      }),
    )
  })

  it('tells what is wrong, without rounding and without dropping', () => {
    const reasonOf = (bytes: number[]): string => {
      try {
        decodeGenerated(GetRequest, Buffer.from(bytes))
      } catch (caught) {
        if (caught instanceof TidemarkError)
          return `${caught.reason}: ${caught.message.split(': ').slice(1).join(': ')}`
      }
      return 'taken'
    }
    expect(reasonOf([0x12, 0x01, 0x61])).to.equal('taken')
    expect(reasonOf([0x28, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10])).to.equal(
      'MESSAGE_MALFORMED: a number is over 2^53 - 1',
    )
    expect(reasonOf([0x12, 0x05, 0x61])).to.equal('MESSAGE_MALFORMED: premature EOF')
    expect(reasonOf([0x0c, 0x12, 0x01, 0x61])).to.equal(
      'MESSAGE_MALFORMED: it does not end where its fields end',
    )
  })
})
