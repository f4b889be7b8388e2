import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import {
  type ClientDuplexStream,
  type ServiceError,
  credentials,
  makeGenericClientConstructor,
  status,
} from '@grpc/grpc-js'
import { expect } from 'chai'
import {
  KeyValueServiceService,
  PipelineOperationKind as Kind,
  type PipelineOperation,
  PipelineRequest,
  type PipelineResponse,
  type PipelineResult,
  TransactRequest,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { type Consistency, Durability } from '../../proto/generated/tidemark/v1/types.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import {
  FRAME_OPERATIONS_MAX,
  PIPELINE_IN_FLIGHT_MAX,
  PIPELINE_READS_TOGETHER_MAX,
} from '../../streams/core/limits.ts'
import { decodePipelineResponse, newOperation } from '../pipeline-codec.ts'
import { type Served, refusalOf, serveFake } from './served.fake.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const putOf = (
  id: number,
  key: string,
  value = 'v',
  more: Partial<PipelineOperation> = {},
): PipelineOperation => ({
  ...newOperation(id, Kind.PIPELINE_OPERATION_KIND_PUT, bytes(key)),
  value: bytes(value),
  ...more,
})
const getOf = (id: number, key: string): PipelineOperation =>
  newOperation(id, Kind.PIPELINE_OPERATION_KIND_GET, bytes(key))

/** A stream with its answers as they come. */
class Stream {
  readonly call: ClientDuplexStream<PipelineRequest, PipelineResponse>
  readonly frames: PipelineResponse[] = []
  readonly results = new Map<number, PipelineResult>()
  error: ServiceError | undefined
  ended = false

  constructor(call: ClientDuplexStream<PipelineRequest, PipelineResponse>) {
    this.call = call
    call.on('data', (frame: PipelineResponse) => {
      this.frames.push(frame)
      for (const result of frame.results) this.results.set(result.id, result)
    })
    call.on('error', (error: ServiceError) => (this.error = error))
    call.on('end', () => (this.ended = true))
  }

  send(operations: PipelineOperation[], frame: Parameters<typeof PipelineRequest.create>[0] = {}): void {
    this.call.write({ ...PipelineRequest.create(frame), operations })
  }

  async answers(count: number): Promise<PipelineResult[]> {
    while (this.results.size < count) await once(this.call, 'data')
    return [...this.results.values()].sort((left, right) => left.id - right.id)
  }

  /** Sends one frame and gives its results in the order of its operations. */
  async ask(
    operations: PipelineOperation[],
    frame: Parameters<typeof PipelineRequest.create>[0] = {},
  ): Promise<PipelineResult[]> {
    this.results.clear()
    this.send(operations, frame)
    return this.answers(operations.length)
  }

  async failure(): Promise<ServiceError> {
    while (this.error === undefined) await turn()
    return this.error
  }

  async end(): Promise<void> {
    this.call.end()
    while (!this.ended) await turn()
  }
}

describe('KeyValueService.Pipeline', () => {
  let served: Served
  let stream: Stream
  beforeEach(async () => {
    served = await serveFake()
    stream = new Stream(served.keyValues.pipeline())
  })
  afterEach(() => served.close())

  it('answers operations of all kinds', async () => {
    const transaction = TransactRequest.create({
      thenOperations: [
        { operation: { $case: 'put', value: { key: bytes('t'), value: bytes('1') } } },
        { operation: { $case: 'get', value: { key: bytes('t') } } },
      ],
    })
    const increment = newOperation(3, Kind.PIPELINE_OPERATION_KIND_INCREMENT, bytes('n'))
    await stream.ask([putOf(1, 'a', 'old'), putOf(2, 'gone')])
    const [put, remove, add, transact] = await stream.ask([
      putOf(1, 'a', 'new', { ttlMs: 500, contentType: 'text/plain' }),
      newOperation(2, Kind.PIPELINE_OPERATION_KIND_DELETE, bytes('gone')),
      { ...increment, delta: '-5' },
      { ...newOperation(4, Kind.PIPELINE_OPERATION_KIND_TRANSACT, bytes('')), transaction },
    ])
    expect(put).to.deep.include({ reason: '', applied: put?.version, duplicate: false })
    expect(remove).to.deep.include({ reason: '', version: undefined })
    expect(add).to.deep.include({ reason: '', number: '-5' })
    expect(transact).to.deep.include({ reason: '', succeeded: true })
    expect(transact?.results.map(({ row }) => row?.value.toString())).to.deep.equal([undefined, '1'])
    const [read, missing] = await stream.ask([getOf(10, 'a'), getOf(11, 'gone')])
    expect(read).to.deep.include({
      value: bytes('new'),
      version: put?.version,
      expiresAtMs: 1500,
      contentType: 'text/plain',
    })
    expect(read?.partition).to.equal(put?.partition)
    expect(missing).to.deep.include({ reason: '', version: undefined, value: bytes('') })
    expect(missing?.applied).to.be.a('number')
  })

  it('introduces the node in the first frame only', async () => {
    await stream.ask([getOf(1, 'a')])
    await stream.ask([getOf(2, 'a')])
    expect(stream.frames.map(({ nodeId, logIdentity }) => ({ nodeId, logIdentity }))).to.deep.equal([
      { nodeId: 'node-1', logIdentity: 'fake-log' },
      { nodeId: '', logIdentity: '' },
    ])
  })

  it('reads a frame in one piece, and answers it in one frame', async () => {
    await stream.ask(Array.from({ length: 100 }, (_, id) => getOf(id, `k${id}`)))
    expect(served.node.batches).to.deep.equal([100])
    expect(stream.frames).to.have.length(1)
    const more = PIPELINE_READS_TOGETHER_MAX + 1
    await stream.ask(Array.from({ length: more }, (_, id) => getOf(id, `k${id}`)))
    expect(served.node.batches).to.deep.equal([100, PIPELINE_READS_TOGETHER_MAX, 1])
  })

  it('hands writes over in order of arrival', async () => {
    const keys = Array.from({ length: 300 }, (_, id) => `k${id % 7}`)
    await stream.ask(keys.map((key, id) => putOf(id, key, String(id))))
    expect(
      served.node.written.map((mutation) => (mutation.kind === 'put' ? Number(mutation.value) : -1)),
    ).to.deep.equal(keys.map((_, id) => id))
  })

  it('gives a bad operation its own result and serves the others', async () => {
    const results = await stream.ask([
      putOf(1, 'a'),
      putOf(2, ''),
      getOf(3, ''),
      putOf(4, 'a', 'x', { ttlMs: 0 }),
      putOf(5, 'a', 'x', { ifVersion: 999 }),
      newOperation(6, 9 as Kind, bytes('a')),
      newOperation(7, Kind.PIPELINE_OPERATION_KIND_TRANSACT, bytes('')),
      getOf(8, 'a'),
      putOf(9, 'a', 'y', { sequence: 4 }),
      putOf(10, 'k'.repeat(4097)),
    ])
    expect(results.map(({ reason }) => reason)).to.deep.equal([
      '',
      'KEY_EMPTY',
      'KEY_EMPTY',
      'TTL_INVALID',
      'VERSION_MISMATCH',
      'FIELD_INVALID',
      'FIELD_INVALID',
      '',
      'REQUEST_ID_INVALID',
      'KEY_TOO_LONG',
    ])
    expect(results[4], 'the version found').to.deep.include({ version: results[0]?.version })
    expect(results[4]?.applied, 'the rejected record is the next token').to.be.greaterThan(
      results[0]?.applied ?? Infinity,
    )
    expect(results[9]?.message).to.contain('4097').and.to.contain('4096')
  })

  it('makes request ids of session and sequence', async () => {
    const [first] = await stream.ask([putOf(1, 'a', '1', { sequence: 7 })], { session: 's' })
    const [again] = await stream.ask([putOf(2, 'a', '1', { sequence: 7 })], { session: 's' })
    expect(served.node.written.map(({ requestId }) => requestId)).to.deep.equal(['s/7', 's/7'])
    expect(again).to.deep.include({ version: first?.version, duplicate: true })
  })

  it('refuses an id that still waits, and takes it again once it is answered', async () => {
    served.node.holding = true
    stream.send([putOf(1, 'a')])
    stream.send([putOf(1, 'b')])
    const [refused] = await stream.answers(1)
    expect(refused).to.deep.include({ id: 1, reason: 'FIELD_INVALID' })
    stream.results.clear()
    served.node.release()
    expect((await stream.answers(1))[0]?.reason).to.equal('')
    expect((await stream.ask([putOf(1, 'b')]))[0]?.reason).to.equal('')
  })

  it('answers each operation of a frame that is wrong as a whole', async () => {
    const whole: [Parameters<typeof PipelineRequest.create>[0], string][] = [
      [{ keyspace: 'nowhere' }, 'KEYSPACE_NOT_FOUND'],
      [{ consistency: 8 as Consistency }, 'FIELD_INVALID'],
      [{ durability: 8 as Durability }, 'FIELD_INVALID'],
    ]
    for (const [frame, reason] of whole) {
      const results = await stream.ask([getOf(1, 'a'), putOf(2, 'a')], frame)
      expect(results.map((result) => result.reason)).to.deep.equal([reason, reason])
    }
    const token = { logIdentity: 'other', positions: [] }
    expect((await stream.ask([getOf(1, 'a')], { token }))[0]?.reason).to.equal('TOKEN_INVALID')
    expect((await stream.ask([getOf(1, 'a')]))[0]?.reason).to.equal('')
  })

  it('answers LOGGED writes with their position alone', async () => {
    const [put] = await stream.ask([putOf(1, 'a')], { durability: Durability.DURABILITY_LOGGED })
    expect(put).to.deep.include({ reason: '', version: undefined })
    expect(put?.applied).to.be.a('number')
  })

  it('reads the other partitions when one cannot answer', async () => {
    const space = served.node.keyspace('default')
    const getMany = space.getMany.bind(space)
    const stopped = space.partitionOf(bytes('k0'))
    space.getMany = async (keys, freshness) => {
      if (keys.some((key) => space.partitionOf(key) === stopped))
        throw new TidemarkError('PARTITION_STOPPED', 'the log was trimmed')
      return getMany(keys, freshness)
    }
    const results = await stream.ask(Array.from({ length: 20 }, (_, id) => getOf(id, `k${id}`)))
    for (const { id, reason } of results) {
      expect(reason).to.equal(space.partitionOf(bytes(`k${id}`)) === stopped ? 'PARTITION_STOPPED' : '')
    }
  })

  it('answers reads of a keyspace of which nobody knows how it is partitioned, and lives on', async () => {
    const space = served.node.keyspace('default')
    const partitionOf = space.partitionOf.bind(space)
    for (const late of [false, true]) {
      let calls = 0
      // Its topic may be created again at any moment: before the rows are read, or right after.
      space.partitionOf = (key) => {
        if (calls++ >= (late ? 4 : 0)) throw new TidemarkError('PARTITION_STOPPED', 'the topic is another')
        return partitionOf(key)
      }
      const results = await stream.ask([getOf(1, 'k1'), getOf(2, 'k2')])
      expect(results.map(({ reason }) => reason)).to.deep.equal(['PARTITION_STOPPED', 'PARTITION_STOPPED'])
    }
    space.partitionOf = partitionOf
    expect((await stream.ask([getOf(3, 'k3')])).map(({ reason }) => reason)).to.deep.equal([''])
  })

  it('ends with an error after a frame that is none, once what came before is answered', async () => {
    served.node.holding = true
    const raw = rawStream(served.address)
    raw.write(
      Buffer.from(
        PipelineRequest.encode({ ...PipelineRequest.create({}), operations: [putOf(2, 'b')] }).finish(),
      ),
    )
    const idOverSafe = Buffer.of(0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)
    raw.write(Buffer.concat([Buffer.of(0x32, idOverSafe.length), idOverSafe]))
    const frames: PipelineResponse[] = []
    raw.on('data', (frame: Buffer) => frames.push(decodePipelineResponse(frame)))
    await turn()
    served.node.release()
    const [error] = (await once(raw, 'error')) as [ServiceError]
    expect(frames.flatMap(({ results }) => results).map((result) => result.id)).to.deep.equal([2])
    expect(refusalOf(error).reason).to.equal('MESSAGE_MALFORMED')
    expect(error.code).to.equal(status.INVALID_ARGUMENT)
  })

  it('refuses a frame of too many operations', async () => {
    stream.send(Array.from({ length: FRAME_OPERATIONS_MAX + 1 }, (_, id) => getOf(id, 'a')))
    expect(refusalOf(await stream.failure()).reason).to.equal('BATCH_TOO_LARGE')
  })

  it('stops reading while too much is in flight, and goes on when some is answered', async () => {
    served.node.holding = true
    const perFrame = 1024
    const frames = 32
    for (let frame = 0; frame < frames; frame++) {
      stream.send(
        Array.from({ length: perFrame }, (_, index) => putOf(frame * perFrame + index, `k${index}`)),
      )
    }
    await untilSteady(() => served.node.written.length)
    const taken = served.node.written.length
    expect(taken).to.be.within(PIPELINE_IN_FLIGHT_MAX, PIPELINE_IN_FLIGHT_MAX + perFrame)
    served.node.release()
    await stream.answers(frames * perFrame)
    expect(served.node.written).to.have.length(frames * perFrame)
  })

  it('stops reading while the bytes in flight are too many', async () => {
    served.node.holding = true
    const value = 'x'.repeat(1 << 20)
    for (let id = 0; id < 40; id++) stream.send([putOf(id, 'a', value)])
    await untilSteady(() => served.node.written.length)
    expect(served.node.written.length).to.be.within(8, 10)
    served.node.release()
    expect(await stream.answers(40)).to.have.length(40)
  })

  it('stops reading while the peer does not take its answers', async () => {
    const value = 'x'.repeat(1 << 20)
    await stream.ask([putOf(0, 'large', value)])
    stream.call.pause()
    const reads = served.node.batches.length
    for (let id = 1; id <= 200; id++) stream.send([getOf(id, 'large')])
    await untilSteady(() => served.node.batches.length)
    // 1 MiB each: what lies in buffers of both sides, and no more.
    expect(served.node.batches.length - reads).to.be.lessThan(120)
    stream.results.clear()
    stream.call.resume()
    expect(await stream.answers(200)).to.have.length(200)
  })

  it('answers what was begun when the client has said all, then ends', async () => {
    served.node.holding = true
    stream.send([putOf(1, 'a')])
    stream.call.end()
    await untilSteady(() => served.node.written.length)
    expect(stream.ended).to.equal(false)
    served.node.release()
    await stream.end()
    expect(stream.results.get(1)?.reason).to.equal('')
    expect(stream.error).to.equal(undefined)
  })

  it('forgets a client that left, while its writes go on', async () => {
    served.node.holding = true
    stream.send([putOf(1, 'a')])
    await untilSteady(() => served.node.written.length)
    stream.call.cancel()
    const meter = served.meters.get(KeyValueServiceService.pipeline.path)
    while (meter?.inFlight !== 0) await turn()
    served.node.release()
    const again = new Stream(served.keyValues.pipeline())
    expect((await again.ask([getOf(1, 'a')]))[0]?.value).to.deep.equal(bytes('v'))
    expect(served.bugs).to.deep.equal([])
  })

  it('ends with NODE_DRAINING when the node drains, after the answers to what was begun', async () => {
    served.node.holding = true
    stream.send([putOf(1, 'a')])
    await untilSteady(() => served.node.written.length)
    served.draining.abort()
    stream.send([putOf(2, 'b')])
    await turn()
    served.node.release()
    expect(refusalOf(await stream.failure()).reason).to.equal('NODE_DRAINING')
    expect([...stream.results.keys()]).to.deep.equal([1])
    expect(served.node.written).to.have.length(1)
  })

  it('takes a request id and a trace context for one operation', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await stream.ask(
      [
        putOf(1, 'a', 'x', { requestId: 'order-17', sequence: 3, traceparent }),
        putOf(2, 'b', 'x', { sequence: 4, traceparent: 'rubbish' }),
      ],
      { session: 's' },
    )
    const [first, second] = served.node.written
    expect(first).to.include({ requestId: 'order-17', traceparent })
    expect(second).to.include({ requestId: 's/4' })
    expect(second).not.to.have.property('traceparent')
  })

  it('ends the operations of a frame when its time is up', async () => {
    const token = { logIdentity: '', positions: [{ keyspace: 'default', partition: 1, offset: 99 }] }
    const reads = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((key, at) => getOf(at + 1, key))
    const began = Date.now()
    const results = await stream.ask(reads, { token, timeoutMs: 100 })
    expect(Date.now() - began).to.be.within(90, 5000)
    expect(results.some(({ reason }) => reason === 'DEADLINE_EXCEEDED')).to.equal(true)
  })

  it('says all that unary answers say, where a frame asks for it', async () => {
    const frame = { details: true, session: 's' }
    const [first] = await stream.ask([putOf(1, 'a', 'x', { sequence: 1 })], frame)
    expect(first?.details).to.deep.include({ logEnd: 2, logEndAgeMs: 0, decided: undefined })
    const [again] = await stream.ask([putOf(2, 'a', 'x', { sequence: 1 })], frame)
    expect(again).to.deep.include({ duplicate: true, applied: 2 })
    expect(again?.details).to.deep.include({ logEnd: 3, decided: 1 })
    const [read] = await stream.ask([getOf(3, 'a')], { ...frame, consistency: 1 })
    expect(read?.details).to.deep.include({ logEnd: 3, consistency: 1 })
    served.node.failure = new TidemarkError('COMPACTED', 'gone', { metadata: { earliest: '7' } })
    const [failed] = await stream.ask([getOf(4, 'a')], frame)
    expect(failed?.details?.metadata).to.deep.equal({ earliest: '7' })
    const [plain] = await stream.ask([getOf(5, 'a')])
    expect(plain?.details).to.equal(undefined)
  })
})

/** Waits until a count that grows has not grown for a while. */
async function untilSteady(count: () => number): Promise<void> {
  let last = -1
  for (let quiet = 0; quiet < 60; quiet++) {
    const now = count()
    if (now !== last || now === 0) quiet = 0
    last = now
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

function rawStream(address: string): ClientDuplexStream<Buffer, Buffer> {
  const same = (bytes: Buffer): Buffer => bytes
  const RawClient = makeGenericClientConstructor({}, 'raw')
  return new RawClient(address, credentials.createInsecure()).makeBidiStreamRequest(
    KeyValueServiceService.pipeline.path,
    same,
    same,
  )
}
