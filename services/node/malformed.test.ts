import { Metadata, type ServiceError, credentials, makeGenericClientConstructor, status } from '@grpc/grpc-js'
import { expect } from 'chai'
import fc from 'fast-check'
import { KeyValueServiceService, PutRequest } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { KeyspaceServiceService } from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { MESSAGE_BYTES_MAX, SMALL_MESSAGE_BYTES_MAX } from '../../streams/core/limits.ts'
import { type Refusal, type Served, refusalOf, serveFake } from './served.fake.ts'

const same = (bytes: Buffer): Buffer => bytes

/** Sends bytes as they are, to any method. */
const RawClient = makeGenericClientConstructor({}, 'raw')

describe('bytes that are no message', () => {
  let served: Served
  let client: InstanceType<typeof RawClient>
  before(async () => {
    served = await serveFake()
    client = new RawClient(served.address, credentials.createInsecure(), {
      'grpc.max_send_message_length': -1,
    })
  })
  after(async () => {
    client.close()
    await served.close()
  })

  const send = (path: string, bytes: Buffer): Promise<ServiceError | null> =>
    new Promise((resolve) => {
      client.makeUnaryRequest(path, same, same, bytes, (error: ServiceError | null) => resolve(error))
    })
  const refusal = async (path: string, bytes: Buffer): Promise<Refusal> => {
    const error = await send(path, bytes)
    if (error === null) throw new Error('it was taken')
    return refusalOf(error)
  }
  const expectMalformed = ({ reason, code, message }: Refusal): void => {
    expect(reason, message).to.equal('MESSAGE_MALFORMED')
    expect(code).to.equal(status.INVALID_ARGUMENT)
  }

  const methods = [...Object.values(KeyValueServiceService), KeyspaceServiceService.create]
  for (const { path, requestStream } of methods) {
    it(`are refused by ${path}`, async () => {
      const cut = Buffer.of(0x0a, 0x7f, 0x61)
      expectMalformed(await refusal(path, cut))
      if (!requestStream) expectMalformed(await refusal(path, Buffer.of(0x07, 0x61, 0x61)))
      // The end of a group that never began: what follows must not be dropped in silence.
      if (!requestStream) expectMalformed(await refusal(path, Buffer.of(0x0c, 0x0a, 0x01, 0x61)))
    })
  }

  it('are refused where a number is over 2^53 - 1', async () => {
    const key = Buffer.of(0x12, 0x01, 0x61)
    const version = Buffer.of(0x20, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10)
    const { message, ...rest } = await refusal(KeyValueServiceService.put.path, Buffer.concat([key, version]))
    expectMalformed({ message, ...rest })
    expect(message).to.contain('a number is over 2^53 - 1')
  })

  it('never bring forth anything but a message or INVALID_ARGUMENT', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 40 }),
        fc.constantFrom('put', 'batchGet', 'transact'),
        async (garbage, name) => {
          const error = await send(KeyValueServiceService[name].path, Buffer.from(garbage))
          if (error !== null) expect([status.INVALID_ARGUMENT, status.NOT_FOUND]).to.include(error.code)
        },
      ),
      { numRuns: 300 },
    )
    expect(served.bugs).to.deep.equal([])
  })

  it('are refused by size where a call needs few', async () => {
    const large = await refusal(KeyValueServiceService.get.path, Buffer.alloc(SMALL_MESSAGE_BYTES_MAX + 1))
    expect(large.reason).to.equal('BATCH_TOO_LARGE')
    expect(large.metadata['limit']).to.equal(String(SMALL_MESSAGE_BYTES_MAX))
  })

  it('are not even read where a message is over MESSAGE_BYTES_MAX', async () => {
    const value = Buffer.alloc(MESSAGE_BYTES_MAX)
    const error = await send(
      KeyValueServiceService.put.path,
      Buffer.from(PutRequest.encode(PutRequest.create({ value })).finish()),
    )
    expect(error?.code).to.equal(status.RESOURCE_EXHAUSTED)
    expect(error?.details).to.contain(String(MESSAGE_BYTES_MAX))
  })

  it('to a method that does not exist are UNIMPLEMENTED', async () => {
    const error = await send('/tidemark.v1.KeyValueService/Nothing', Buffer.alloc(0))
    expect(error?.code).to.equal(status.UNIMPLEMENTED)
    expect(error?.metadata).to.be.instanceOf(Metadata)
  })
})
