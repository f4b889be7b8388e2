import { expect } from 'chai'
import fc from 'fast-check'
import {
  type PipelineDetails,
  PipelineOperation,
  PipelineRequest,
  PipelineResponse,
  PipelineResult,
  TransactRequest,
} from '../proto/generated/tidemark/v1/key_value_service.ts'
import { Token } from '../proto/generated/tidemark/v1/types.ts'
import { TidemarkError } from '../streams/core/errors.ts'
import { FRAME_OPERATIONS_MAX } from '../streams/core/limits.ts'
import {
  decodePipelineRequest,
  decodePipelineResponse,
  encodePipelineRequest,
  encodePipelineResponse,
  newOperation,
  newResult,
} from './pipeline-codec.ts'

const uint = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constantFrom(
    0,
    127,
    128,
    16383,
    16384,
    2 ** 21,
    2 ** 28,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 35,
    2 ** 42,
    2 ** 49,
  ),
)
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)
const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array))
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })
const text = fc.string({ unit: 'grapheme', maxLength: 12 })

const token = fc
  .record({
    logIdentity: text,
    positions: fc.array(fc.record({ keyspace: text, partition: fc.nat(9), offset: uint }), { maxLength: 3 }),
  })
  .map((base) => Token.fromPartial(base))

const transaction = fc
  .record({ keyspace: text, keys: fc.array(bytes, { maxLength: 3 }) })
  .map(({ keyspace, keys }) =>
    TransactRequest.fromPartial({
      keyspace,
      thenOperations: keys.map((key) => ({ operation: { $case: 'get', value: { key } } })),
    }),
  )

const operation: fc.Arbitrary<PipelineOperation> = fc.record({
  id: uint,
  kind: fc.constantFrom(0, 1, 2, 3, 4, 5),
  key: bytes,
  value: bytes,
  ifVersion: maybe(uint),
  ttlMs: maybe(uint),
  contentType: text,
  delta: int64,
  sequence: maybe(uint),
  transaction: maybe(transaction),
  requestId: text,
  traceparent: text,
})

const details: fc.Arbitrary<PipelineDetails> = fc.record({
  logEnd: uint,
  logEndAgeMs: fc.nat(2 ** 32 - 1),
  consistency: fc.constantFrom(0, 1, 2, 3),
  decided: maybe(uint),
  metadata: fc.dictionary(text, text, { maxKeys: 3, noNullPrototype: true }),
})

const request: fc.Arbitrary<PipelineRequest> = fc.record({
  keyspace: text,
  consistency: fc.constantFrom(0, 1, 2, 3),
  token: maybe(token),
  durability: fc.constantFrom(0, 1, 2),
  session: text,
  timeoutMs: fc.nat(2 ** 32 - 1),
  details: fc.boolean(),
  operations: fc.array(operation, { maxLength: 5 }),
})

const result: fc.Arbitrary<PipelineResult> = fc
  .record({
    id: uint,
    reason: text,
    message: text,
    partition: fc.nat(1024),
    applied: maybe(uint),
    version: maybe(uint),
    value: bytes,
    expiresAtMs: uint,
    contentType: text,
    number: maybe(int64),
    succeeded: maybe(fc.boolean()),
    duplicate: fc.boolean(),
    details: maybe(details),
  })
  .map((base) =>
    PipelineResult.fromPartial({
      ...base,
      results: base.succeeded === true ? [{}, { row: { key: base.value } }] : [],
    }),
  )

const response: fc.Arbitrary<PipelineResponse> = fc.record({
  results: fc.array(result, { maxLength: 5 }),
  logIdentity: text,
  nodeId: text,
})

const reasonOf = (act: () => unknown): string => {
  try {
    act()
  } catch (caught) {
    if (caught instanceof TidemarkError) return caught.reason
    throw caught
  }
  return 'no error'
}

describe('the codec of pipeline frames', () => {
  it('writes what the generated code writes, byte for byte', () => {
    fc.assert(
      fc.property(request, response, (frame, answer) => {
        expect(encodePipelineRequest(frame).toString('hex')).to.equal(
          Buffer.from(PipelineRequest.encode(frame).finish()).toString('hex'),
        )
        expect(encodePipelineResponse(answer).toString('hex')).to.equal(
          Buffer.from(PipelineResponse.encode(answer).finish()).toString('hex'),
        )
      }),
    )
  })

  it('reads what the generated code writes', () => {
    fc.assert(
      fc.property(request, response, (frame, answer) => {
        expect(decodePipelineRequest(PipelineRequest.encode(frame).finish())).to.deep.equal(frame)
        expect(decodePipelineResponse(PipelineResponse.encode(answer).finish())).to.deep.equal(answer)
      }),
    )
  })

  it('is read by the generated code', () => {
    fc.assert(
      fc.property(request, response, (frame, answer) => {
        expect(PipelineRequest.decode(encodePipelineRequest(frame))).to.deep.equal(frame)
        expect(PipelineResponse.decode(encodePipelineResponse(answer))).to.deep.equal(answer)
      }),
    )
  })

  it('steps over fields of newer versions, of every wire type', () => {
    const unknown = Buffer.from([
      ...[0xa0, 0x06, 0x05], // 100: varint
      ...[0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8], // 100: 64 bit
      ...[0xa2, 0x06, 2, 9, 9], // 100: bytes
      ...[0xa5, 0x06, 1, 2, 3, 4], // 100: 32 bit
      ...[0x09, 1, 2, 3, 4, 5, 6, 7, 8], // 1, with another wire type than it has
    ])
    const frame = { ...PipelineRequest.fromPartial({}), operations: [newOperation(7, 1, Buffer.from('k'))] }
    expect(
      decodePipelineRequest(Buffer.concat([unknown, encodePipelineRequest(frame), unknown])),
    ).to.deep.equal(frame)
    const inside = Buffer.concat([
      unknown,
      Buffer.from(PipelineOperation.encode(newOperation(7, 1, Buffer.from('k'))).finish()),
    ])
    expect(decodePipelineRequest(Buffer.concat([Buffer.of(0x32, inside.length), inside]))).to.deep.equal(
      frame,
    )
  })

  it('refuses what is no message, and never reads past the end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (garbage) => {
        for (const decode of [decodePipelineRequest, decodePipelineResponse]) {
          expect(['no error', 'MESSAGE_MALFORMED']).to.include(reasonOf(() => decode(garbage)))
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('refuses every frame that is cut off inside a field', () => {
    const frame = encodePipelineRequest({
      ...PipelineRequest.fromPartial({ keyspace: 'k', session: 's' }),
      operations: [
        {
          ...newOperation(300, 2, Buffer.from('key')),
          value: Buffer.alloc(40),
          ifVersion: 2 ** 40,
          delta: '-1',
        },
      ],
    })
    const whole = new Set([0, 3, 6])
    for (let length = 0; length < frame.length; length++) {
      if (!whole.has(length))
        expect(reasonOf(() => decodePipelineRequest(frame.subarray(0, length)))).to.equal('MESSAGE_MALFORMED')
    }
  })

  it('refuses numbers over 2^53 - 1 instead of rounding them', () => {
    const operation = Buffer.from([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x1f])
    expect(
      reasonOf(() => decodePipelineRequest(Buffer.concat([Buffer.of(0x32, operation.length), operation]))),
    ).to.equal('MESSAGE_MALFORMED')
  })

  it('takes FRAME_OPERATIONS_MAX operations and refuses one more', () => {
    const frame = (count: number): Buffer =>
      Buffer.concat(Array.from({ length: count }, () => Buffer.of(0x32, 0)))
    expect(decodePipelineRequest(frame(FRAME_OPERATIONS_MAX)).operations).to.have.length(FRAME_OPERATIONS_MAX)
    expect(reasonOf(() => decodePipelineRequest(frame(FRAME_OPERATIONS_MAX + 1)))).to.equal('BATCH_TOO_LARGE')
  })

  it('begins with nothing set', () => {
    expect(newOperation(0, 0, Buffer.alloc(0))).to.deep.equal(PipelineOperation.fromPartial({}))
    expect(newResult(0)).to.deep.equal(PipelineResult.fromPartial({}))
  })
})
