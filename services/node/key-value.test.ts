import { Metadata, status } from '@grpc/grpc-js'
import { expect } from 'chai'
import {
  BatchGetRequest,
  type BatchGetResponse,
  DeleteRequest,
  type DeleteResponse,
  GetOutcomeRequest,
  type GetOutcomeResponse,
  GetRequest,
  type GetResponse,
  HistoryRequest,
  type HistoryResponse,
  IncrementRequest,
  type IncrementResponse,
  PutRequest,
  type PutResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { Consistency, Durability } from '../../proto/generated/tidemark/v1/types.ts'
import {
  FRAME_OPERATIONS_MAX,
  KEY_BYTES_MAX,
  TTL_MS_MAX,
  VALUE_BYTES_MAX,
} from '../../streams/core/limits.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { type Refusal, type Served, ask, refused, serveFake } from './served.fake.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

describe('KeyValueService, unary', () => {
  let served: Served
  beforeEach(async () => (served = await serveFake()))
  afterEach(() => served.close())

  const put = (
    request: Parameters<typeof PutRequest.create>[0],
    metadata = new Metadata(),
  ): Promise<PutResponse> =>
    ask((done) => served.keyValues.put(PutRequest.create({ key: bytes('k'), ...request }), metadata, done))
  const get = (request: Parameters<typeof GetRequest.create>[0]): Promise<GetResponse> =>
    ask((done) => served.keyValues.get(GetRequest.create({ key: bytes('k'), ...request }), done))
  const increment = (request: Parameters<typeof IncrementRequest.create>[0]): Promise<IncrementResponse> =>
    ask((done) => served.keyValues.increment(IncrementRequest.create({ key: bytes('n'), ...request }), done))
  const batchGet = (keys: readonly Buffer[]): Promise<BatchGetResponse> =>
    ask((done) => served.keyValues.batchGet(BatchGetRequest.create({ keys: [...keys] }), done))

  const expectRefusal = (refusal: Refusal, reason: string, code: status): void => {
    expect(refusal.reason, refusal.message).to.equal(reason)
    expect(refusal.code).to.equal(code)
  }

  it('writes and reads a row, and says where it stands', async () => {
    const written = await put({ value: bytes('v'), contentType: 'text/plain', ttlMs: 5000 })
    const position = written.header?.applied
    expect(position?.keyspace).to.equal('default')
    expect(written.outcome).to.deep.include({ applied: true, duplicate: false, position })
    const read = await get({})
    expect(read.row).to.deep.equal({
      key: bytes('k'),
      value: bytes('v'),
      version: position?.offset,
      partition: position?.partition,
      expiresAtMs: 6000,
      contentType: 'text/plain',
    })
    expect(read.header).to.deep.equal({
      nodeId: 'node-1',
      applied: position,
      logEnd: (position?.offset ?? 0) + 1,
      logEndAgeMs: 0,
      consistency: Consistency.CONSISTENCY_LINEARIZABLE,
    })
  })

  it('gives no row where there is none', async () => {
    expect((await get({ key: bytes('nothing') })).row).to.equal(undefined)
  })

  it('reads as it was at a version', async () => {
    const first = await put({ value: bytes('1') })
    await put({ value: bytes('2') })
    const atVersion = first.outcome?.version
    expect((await get({ atVersion })).row?.value).to.deep.equal(bytes('1'))
    expect((await get({})).row?.value).to.deep.equal(bytes('2'))
  })

  it('answers LOGGED with the position and no outcome', async () => {
    const written = await put({ value: bytes('v'), durability: Durability.DURABILITY_LOGGED })
    expect(written.outcome).to.equal(undefined)
    const position = written.header?.applied
    expect(position?.offset).to.be.a('number')
    const known = await ask<GetOutcomeResponse>((done) =>
      served.keyValues.getOutcome(GetOutcomeRequest.create({ position }), done),
    )
    expect(known.outcomes).to.have.length(1)
    expect(known.outcomes[0]).to.deep.include({ applied: true, position })
  })

  it('turns a condition that does not hold into an error with the version found', async () => {
    const { outcome } = await put({ value: bytes('1') })
    const refusal = await refused(put({ value: bytes('2'), ifVersion: 77 }))
    expectRefusal(refusal, 'VERSION_MISMATCH', status.FAILED_PRECONDITION)
    expect(refusal.metadata).to.deep.include({
      version: String(outcome?.version),
      keyspace: 'default',
      partition: String(outcome?.position?.partition),
      offset: String((outcome?.position?.offset ?? 0) + 1),
    })
    const missing = await refused(put({ key: bytes('new'), ifVersion: 5 }))
    expect(missing.metadata['version']).to.equal('0')
    expect((await put({ key: bytes('new'), ifVersion: 0 })).outcome?.applied).to.equal(true)
  })

  it('deletes, with a condition too', async () => {
    const { outcome } = await put({ value: bytes('1') })
    const remove = (ifVersion?: number): Promise<DeleteResponse> =>
      ask((done) => served.keyValues.delete(DeleteRequest.create({ key: bytes('k'), ifVersion }), done))
    expectRefusal(await refused(remove(99)), 'VERSION_MISMATCH', status.FAILED_PRECONDITION)
    expect((await remove(outcome?.version)).outcome).to.deep.include({ applied: true, version: undefined })
    expect((await get({})).row).to.equal(undefined)
  })

  it('increments to the ends of 64 bits, and refuses text and overflow', async () => {
    expect((await increment({ delta: '9223372036854775807' })).outcome?.number).to.equal(
      '9223372036854775807',
    )
    expectRefusal(await refused(increment({ delta: '1' })), 'NUMBER_OVERFLOW', status.FAILED_PRECONDITION)
    expect((await increment({ delta: '-9223372036854775808' })).outcome?.number).to.equal('-1')
    await put({ key: bytes('n'), value: bytes('seven') })
    expectRefusal(await refused(increment({ delta: '1' })), 'NOT_A_NUMBER', status.FAILED_PRECONDITION)
  })

  it('answers a repeated request id with the first outcome', async () => {
    const first = await put({ value: bytes('1'), requestId: 's/1' })
    const again = await put({ value: bytes('1'), requestId: 's/1' })
    expect(first.outcome?.duplicate).to.equal(false)
    expect(again.outcome).to.deep.equal({ ...first.outcome, duplicate: true })
    expect(again.header?.applied?.offset, 'the next token covers the second record').to.be.greaterThan(
      first.header?.applied?.offset ?? Infinity,
    )
  })

  it('hands the trace context on, where it is one', async () => {
    const metadata = new Metadata()
    metadata.set('traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')
    await put({}, metadata)
    metadata.set('traceparent', 'nonsense')
    await put({}, metadata)
    expect(served.node.written.map(({ traceparent }) => traceparent)).to.deep.equal([
      '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      undefined,
    ])
  })

  it('reads many rows, missing ones left out, with a token for all partitions', async () => {
    for (const key of ['a', 'b', 'c']) await put({ key: bytes(key), value: bytes(key) })
    const read = await batchGet([bytes('c'), bytes('missing'), bytes('a'), bytes('c')])
    expect(read.rows.map(({ value }) => value.toString())).to.deep.equal(['c', 'a', 'c'])
    expect(read.nodeId).to.equal('node-1')
    expect(read.consistency).to.equal(Consistency.CONSISTENCY_LINEARIZABLE)
    expect(read.token?.logIdentity).to.equal('fake-log')
    expect(new Set(read.token?.positions.map(({ partition }) => partition)).size).to.equal(
      read.token?.positions.length,
    )
  })

  it('gives the history of a row, newest first', async () => {
    await put({ value: bytes('1') })
    await put({ value: bytes('2') })
    const history = (limit: number): Promise<HistoryResponse> =>
      ask((done) => served.keyValues.history(HistoryRequest.create({ key: bytes('k'), limit }), done))
    expect((await history(0)).versions.map(({ row }) => row?.value.toString())).to.deep.equal(['2', '1'])
    expect((await history(1)).versions).to.have.length(1)
  })

  describe('bad input', () => {
    const INVALID = status.INVALID_ARGUMENT

    it('key: empty, too long, of the greatest length', async () => {
      expectRefusal(await refused(get({ key: bytes('') })), 'KEY_EMPTY', INVALID)
      expectRefusal(await refused(put({ key: bytes('') })), 'KEY_EMPTY', INVALID)
      const long = await refused(put({ key: Buffer.alloc(KEY_BYTES_MAX + 1) }))
      expectRefusal(long, 'KEY_TOO_LONG', INVALID)
      expect(long.metadata).to.deep.include({ limit: '4096', actual: '4097' })
      await put({ key: Buffer.alloc(KEY_BYTES_MAX) })
      const inBatch = await refused(batchGet([bytes('a'), bytes('')]))
      expectRefusal(inBatch, 'KEY_EMPTY', INVALID)
      expect(inBatch.metadata['field']).to.equal('keys[1]')
    })

    it('value: one byte less than the limit, the limit, one more', async () => {
      await put({ value: Buffer.alloc(VALUE_BYTES_MAX - 1) })
      await put({ value: Buffer.alloc(VALUE_BYTES_MAX) })
      const refusal = await refused(put({ value: Buffer.alloc(VALUE_BYTES_MAX + 1) }))
      expectRefusal(refusal, 'VALUE_TOO_LARGE', INVALID)
      expect(refusal.metadata).to.deep.include({ limit: '1048576', actual: '1048577' })
      expect(refusal.message).to.contain('1048576').and.to.contain('1048577')
    })

    it('time to live: zero, huge, negative', async () => {
      expectRefusal(await refused(put({ ttlMs: 0 })), 'TTL_INVALID', INVALID)
      expectRefusal(await refused(put({ ttlMs: TTL_MS_MAX + 1 })), 'TTL_INVALID', INVALID)
      await put({ ttlMs: TTL_MS_MAX })
      // A negative number in a uint64 field is one over 2^63.
      expectRefusal(
        await refused(put({ ttlMs: '18446744073709551615' as unknown as number })),
        'MESSAGE_MALFORMED',
        INVALID,
      )
    })

    it('request id over 64 bytes', async () => {
      await put({ requestId: 'x'.repeat(64) })
      const refusal = await refused(put({ requestId: `${'x'.repeat(63)}é` }))
      expectRefusal(refusal, 'REQUEST_ID_INVALID', INVALID)
      expect(refusal.metadata).to.deep.include({ limit: '64', actual: '65' })
    })

    it('numbers that no enum has', async () => {
      const consistency = await refused(get({ consistency: 9 as Consistency }))
      expectRefusal(consistency, 'FIELD_INVALID', INVALID)
      expect(consistency.metadata['field']).to.equal('consistency')
      const durability = await refused(put({ durability: 3 as Durability }))
      expect(durability.metadata['field']).to.equal('durability')
    })

    it('a batch of too many keys', async () => {
      const keys = Array.from({ length: FRAME_OPERATIONS_MAX }, () => bytes('k'))
      await batchGet(keys)
      const refusal = await refused(batchGet([...keys, bytes('k')]))
      expectRefusal(refusal, 'BATCH_TOO_LARGE', INVALID)
      expect(refusal.message).to.contain('4096')
      expectRefusal(
        await refused(batchGet(Array.from({ length: 10_000 }, () => bytes('k')))),
        'BATCH_TOO_LARGE',
        INVALID,
      )
    })

    it('a token of another log, or with two positions of one partition', async () => {
      const position = { keyspace: '', partition: 1, offset: 0 }
      const other = await refused(get({ token: { logIdentity: 'other', positions: [] } }))
      expectRefusal(other, 'TOKEN_INVALID', INVALID)
      const twice = { logIdentity: '', positions: [position, { ...position, keyspace: 'default' }] }
      const refusal = await refused(get({ token: twice }))
      expectRefusal(refusal, 'TOKEN_INVALID', INVALID)
      expect(refusal.message).to.contain('two positions of partition default/1')
    })

    it('a keyspace that does not exist', async () => {
      const refusal = await refused(get({ keyspace: 'nowhere' }))
      expectRefusal(refusal, 'KEYSPACE_NOT_FOUND', status.NOT_FOUND)
      expect(refusal.message).to.contain('nowhere')
    })

    it('no position, no such partition, no record there', async () => {
      const outcome = (position?: {
        keyspace: string
        partition: number
        offset: number
      }): Promise<GetOutcomeResponse> =>
        ask((done) => served.keyValues.getOutcome(GetOutcomeRequest.create({ position }), done))
      expectRefusal(await refused(outcome()), 'FIELD_INVALID', INVALID)
      const place = await refused(outcome({ keyspace: '', partition: 4, offset: 1 }))
      expectRefusal(place, 'FIELD_INVALID', INVALID)
      expect(place.message).to.contain('partitions 0 to 3')
      expectRefusal(
        await refused(outcome({ keyspace: '', partition: 0, offset: 0 })),
        'OUTCOME_UNKNOWN',
        status.NOT_FOUND,
      )
    })
  })

  it('ends a read at its deadline', async () => {
    const token = {
      logIdentity: '',
      positions: [0, 1, 2, 3].map((partition) => ({ keyspace: '', partition, offset: 10 })),
    }
    const request = GetRequest.create({ key: bytes('k'), token })
    const began = Date.now()
    const error = await ask((done) =>
      served.keyValues.get(request, new Metadata(), { deadline: began + 150 }, done),
    ).catch((caught: unknown) => caught)
    expect(error).to.have.property('code', status.DEADLINE_EXCEEDED)
    expect(Date.now() - began).to.be.within(100, 2000)
  })

  it('says what it was that the node cannot do, and that the call may be sent again', async () => {
    served.node.failure = new TidemarkError('LOG_UNAVAILABLE', 'no broker answers')
    const refusal = await refused(put({}))
    expectRefusal(refusal, 'LOG_UNAVAILABLE', status.UNAVAILABLE)
    expect(refusal.status.details.map(({ typeUrl }) => typeUrl)).to.include(
      'type.googleapis.com/google.rpc.RetryInfo',
    )
    expect(served.bugs).to.deep.equal([])
  })

  it('tells of bugs, and answers INTERNAL', async () => {
    const bug = new TypeError('x is not a function')
    served.node.failure = bug
    expectRefusal(await refused(get({})), 'INTERNAL', status.INTERNAL)
    expect(served.bugs).to.deep.equal([bug])
  })

  it('counts calls by method and code', async () => {
    await put({})
    await refused(put({ key: bytes('') }))
    const meter = served.meters.get('/tidemark.v1.KeyValueService/Put')
    expect(meter?.method).to.equal('KeyValueService/Put')
    expect(meter?.ended[status.OK]).to.equal(1)
    expect(meter?.ended[status.INVALID_ARGUMENT]).to.equal(1)
    expect(meter?.inFlight).to.equal(0)
    expect(meter?.duration.count.reduce((sum, count) => sum + count)).to.equal(2)
  })
})
