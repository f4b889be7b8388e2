import { Metadata, status, type ServiceError } from '@grpc/grpc-js'
import { expect } from 'chai'
import { TidemarkError } from '../streams/core/errors.ts'
import { failureFor, failureOf, isServiceError } from './failure.ts'
import { toGrpcError } from './node/status.ts'

const serviceError = (code: status, details: string, metadata = new Metadata()): ServiceError =>
  Object.assign(new Error(details), { code, details, metadata })

describe('what a failed call means', () => {
  it('is what the node said', () => {
    const said = new TidemarkError('COMPACTED', 'the history is gone', { metadata: { earliest: '7' } })
    const { code, details, metadata } = toGrpcError(said)
    const heard = failureOf(serviceError(code, details, metadata), 'node b')
    expect([heard.reason, heard.message, heard.metadata]).to.deep.equal([
      'COMPACTED',
      'the history is gone',
      { earliest: '7' },
    ])
  })

  it('is read from the code where nothing was said', () => {
    const reasonOf = (code: status): string => failureOf(serviceError(code, 'x'), 'node b').reason
    expect(reasonOf(status.UNAVAILABLE)).to.equal('NODE_UNREACHABLE')
    expect(reasonOf(status.CANCELLED)).to.equal('NODE_UNREACHABLE')
    expect(reasonOf(status.DEADLINE_EXCEEDED)).to.equal('DEADLINE_EXCEEDED')
    expect(reasonOf(status.UNIMPLEMENTED)).to.equal('NOT_IMPLEMENTED')
    expect(reasonOf(status.DATA_LOSS)).to.equal('INTERNAL')
  })

  it('names the one thing of interest in the words of gRPC', () => {
    const wrapped =
      'No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: x'
    expect(failureOf(serviceError(status.UNAVAILABLE, wrapped), 'node b').message).to.equal(
      'no answer from node b: connect ECONNREFUSED 127.0.0.1:1',
    )
  })

  it('bears a trailer that is no status, and reasons of newer nodes', () => {
    const metadata = new Metadata()
    metadata.set('grpc-status-details-bin', Buffer.from([255, 255, 255]))
    expect(failureOf(serviceError(status.UNAVAILABLE, 'x', metadata), 'b').reason).to.equal(
      'NODE_UNREACHABLE',
    )
    expect(failureFor('TOO_NEW', 'x').reason).to.equal('INTERNAL')
    expect(failureFor('OVERLOADED', 'x', { a: 'b' })).to.deep.include({ reason: 'OVERLOADED' })
  })

  it('tells errors of gRPC from others', () => {
    expect(isServiceError(serviceError(status.OK, ''))).to.equal(true)
    expect(isServiceError(new TidemarkError('INTERNAL', 'x'))).to.equal(false)
  })
})
