import { readFileSync } from 'node:fs'
import { status as grpcStatus } from '@grpc/grpc-js'
import { expect } from 'chai'
import { BadRequest, ErrorInfo, RetryInfo } from '../../proto/generated/google/rpc/error_details.ts'
import { Status } from '../../proto/generated/google/rpc/status.ts'
import { CATALOGUE, type Reason, TidemarkError, isReason } from '../../streams/core/errors.ts'
import { README, withTables } from './docs.ts'
import { STATUS_DETAILS_TRAILER, grpcCode, toGrpcError } from './status.ts'

const REASONS = Object.keys(CATALOGUE).filter(isReason)

function detailsOf(error: TidemarkError): { readonly status: Status; of(name: string): Buffer | undefined } {
  const trailer = toGrpcError(error).metadata.get(STATUS_DETAILS_TRAILER)[0]
  if (!Buffer.isBuffer(trailer)) throw new Error('no details')
  const status = Status.decode(trailer)
  return {
    status,
    of: (name) =>
      status.details.find(({ typeUrl }) => typeUrl === `type.googleapis.com/google.rpc.${name}`)?.value,
  }
}

describe('errors on the wire', () => {
  it('have the code of the catalogue, for every reason', () => {
    for (const reason of REASONS) {
      expect(grpcStatus[grpcCode(reason)], reason).to.equal(CATALOGUE[reason].grpc)
      expect(toGrpcError(new TidemarkError(reason, 'x')).code).to.equal(grpcCode(reason))
    }
  })

  it('have ErrorInfo always, and RetryInfo exactly where the same call may be sent again', () => {
    for (const reason of REASONS) {
      const { status, of } = detailsOf(new TidemarkError(reason, 'a sentence', { metadata: { limit: '7' } }))
      expect(status.code).to.equal(grpcCode(reason))
      expect(status.message).to.equal('a sentence')
      expect(ErrorInfo.decode(of('ErrorInfo') ?? Buffer.alloc(0))).to.deep.equal({
        reason,
        domain: 'tidemark',
        metadata: { limit: '7' },
      })
      expect(of('RetryInfo') !== undefined, reason).to.equal(CATALOGUE[reason].retriable)
    }
    const delay = RetryInfo.decode(
      detailsOf(new TidemarkError('OVERLOADED', '')).of('RetryInfo') ?? Buffer.alloc(0),
    )
    expect(delay.retryDelay).to.deep.equal({ seconds: 0, nanos: 100_000_000 })
  })

  it('name the field that is wrong, where the request is', () => {
    const fieldOf = (reason: Reason, metadata = {}): string | undefined => {
      const bytes = detailsOf(new TidemarkError(reason, 'wrong', { metadata })).of('BadRequest')
      return bytes === undefined ? undefined : BadRequest.decode(bytes).fieldViolations[0]?.field
    }
    expect(fieldOf('FIELD_INVALID', { field: 'limit' })).to.equal('limit')
    expect(fieldOf('KEY_EMPTY')).to.equal('key')
    expect(fieldOf('VALUE_TOO_LARGE', { field: 'then_operations[3].value' })).to.equal(
      'then_operations[3].value',
    )
    expect(fieldOf('VERSION_MISMATCH', { field: 'x' })).to.equal(undefined)
  })

  it('stay small: long messages are cut, metadata that does not fit is left out', () => {
    const error = new TidemarkError('COMPACTED', `${'x'.repeat(1023)}\u{1F30A}${'y'.repeat(5000)}`, {
      metadata: { token: 'z'.repeat(10_000), earliest: '12' },
    })
    const { details, metadata } = toGrpcError(error)
    expect(details.length).to.be.lessThan(1100)
    expect(() => encodeURI(details)).not.to.throw()
    expect(ErrorInfo.decode(detailsOf(error).of('ErrorInfo') ?? Buffer.alloc(0)).metadata).to.deep.equal({
      earliest: '12',
    })
    expect(Buffer.byteLength(JSON.stringify(metadata.toJSON()))).to.be.lessThan(8192)
  })

  it('stand in services/README.md as the catalogue has them, settings too', () => {
    const text = readFileSync(README, 'utf8')
    expect(text).to.equal(withTables(text), 'run: node dist/services/node/docs.js')
  })
})
