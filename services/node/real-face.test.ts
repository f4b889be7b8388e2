/** The front on the real face, log and store in memory: what the fake promises must be what the node does. */
import { once } from 'node:events'
import { type ServiceError, credentials } from '@grpc/grpc-js'
import { expect } from 'chai'
import {
  Compare_Operator,
  GetOutcomeRequest,
  type GetOutcomeResponse,
  GetRequest,
  type GetResponse,
  HistoryRequest,
  type HistoryResponse,
  KeyValueServiceClient,
  PipelineOperationKind as Kind,
  PipelineRequest,
  type PipelineResponse,
  PutRequest,
  type PutResponse,
  ScanRequest,
  type ScanResponse,
  TransactRequest,
  type TransactResponse,
  WatchMark,
  WatchRequest,
  type WatchResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { partition } from '../../streams/core/types.ts'
import { type TestNode, openTestNode } from '../../streams/node.fixture.ts'
import { newOperation } from '../pipeline-codec.ts'
import { addressText } from './address.ts'
import { type Refusal, ask, refused, refusalOf } from './served.fake.ts'
import { type GrpcServer, serveGrpc } from './server.ts'
import { newMeters } from '../../streams/meters.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

describe('the front on a real node', () => {
  let test: TestNode
  let server: GrpcServer
  let client: KeyValueServiceClient
  let draining: AbortController
  const bugs: unknown[] = []
  before(async () => {
    test = await openTestNode()
    draining = new AbortController()
    const serving = {
      node: test.node,
      draining: draining.signal,
      meters: new Map(),
      totals: newMeters(),
      bug: (bug: unknown) => void bugs.push(bug),
      drain: () => undefined,
    }
    server = await serveGrpc(serving, { host: '127.0.0.1', port: 0 }, 0)
    client = new KeyValueServiceClient(addressText(server.address), credentials.createInsecure())
  })
  after(async () => {
    draining.abort()
    client.close()
    await server.stop(Date.now())
    await test.node.close(Date.now() + 1000)
    expect(bugs).to.deep.equal([])
  })

  const put = (request: Parameters<typeof PutRequest.create>[0]): Promise<PutResponse> =>
    ask((done) => client.put(PutRequest.create(request), done))
  const get = (request: Parameters<typeof GetRequest.create>[0]): Promise<GetResponse> =>
    ask((done) => client.get(GetRequest.create(request), done))
  const transact = (request: Parameters<typeof TransactRequest.create>[0]): Promise<TransactResponse> =>
    ask((done) => client.transact(TransactRequest.create(request), done))
  const outcome = (request: Parameters<typeof GetOutcomeRequest.create>[0]): Promise<GetOutcomeResponse> =>
    ask((done) => client.getOutcome(GetOutcomeRequest.create(request), done))

  it('writes, reads, reads back in time, and tells the history and the outcome', async () => {
    const key = bytes('row')
    const first = await put({ key, value: bytes('1'), requestId: 's/1' })
    const second = await put({ key, value: bytes('2'), ifVersion: first.outcome?.version })
    expect((await get({ key })).row).to.deep.include({ value: bytes('2'), version: second.outcome?.version })
    expect((await get({ key, atVersion: first.outcome?.version })).row?.value).to.deep.equal(bytes('1'))
    expect((await put({ key, value: bytes('1'), requestId: 's/1' })).outcome).to.deep.include({
      duplicate: true,
      version: first.outcome?.version,
    })
    const history = await ask<HistoryResponse>((done) => client.history(HistoryRequest.create({ key }), done))
    expect(history.versions.map(({ row }) => row?.value.toString())).to.deep.equal(['2', '1'])
    const mismatch = await refused(put({ key, value: bytes('3'), ifVersion: 0 }))
    expect(mismatch).to.deep.include({ reason: 'VERSION_MISMATCH' })
    expect(mismatch.metadata['version']).to.equal(String(second.outcome?.version))
    const position = {
      keyspace: '',
      partition: Number(mismatch.metadata['partition']),
      offset: Number(mismatch.metadata['offset']),
    }
    expect((await outcome({ position })).outcomes[0]).to.deep.include({
      applied: false,
      reason: 'VERSION_MISMATCH',
    })
  })

  it('sees what a stranger wrote, with the offset of its ack as token', async () => {
    const key = 'written by a stranger'
    const place = test.node.keyspace('default').partitionOf(bytes(key))
    const { offset } = await test.append(place, key, 'hello')
    const token = { logIdentity: '', positions: [{ keyspace: 'default', partition: place, offset }] }
    const read = await get({ key: bytes(key), token })
    expect(read.row?.value).to.deep.equal(bytes('hello'))
    const elsewhere = partition((place + 1) % 4)
    const misplaced = await test.append(elsewhere, key, 'lost')
    const verdict = await outcome({
      position: { keyspace: '', partition: elsewhere, offset: misplaced.offset },
    })
    expect(verdict.outcomes[0]).to.deep.include({ applied: false, reason: 'MISPLACED_KEY' })
  })

  it('transacts', async () => {
    const compares = [
      {
        key: bytes('t'),
        operator: Compare_Operator.OPERATOR_EQUAL,
        target: { $case: 'version', value: 0 } as const,
      },
    ]
    const thenOperations = [
      { operation: { $case: 'get', value: { key: bytes('t') } } as const },
      { operation: { $case: 'put', value: { key: bytes('t'), value: bytes('1') } } as const },
      { operation: { $case: 'get', value: { key: bytes('t') } } as const },
    ]
    const elseOperations = [
      { operation: { $case: 'increment', value: { key: bytes('t'), delta: '41' } } as const },
    ]
    const first = await transact({ compares, thenOperations, elseOperations })
    expect(first.outcome).to.deep.include({ applied: true, succeeded: true })
    expect(first.results.map(({ row }) => row?.value.toString())).to.deep.equal([undefined, undefined, '1'])
    expect((await transact({ compares, thenOperations, elseOperations })).outcome).to.deep.include({
      succeeded: false,
    })
    expect((await get({ key: bytes('t') })).row?.value).to.deep.equal(bytes('42'))
  })

  it('refuses tokens that are not of this log', async () => {
    const reasonOf = async (answer: Promise<unknown>): Promise<Refusal['reason']> =>
      (await refused(answer)).reason
    const place = { keyspace: 'default', partition: 0, offset: 1_000_000 }
    expect(
      await reasonOf(get({ key: bytes('k'), token: { logIdentity: 'another', positions: [] } })),
    ).to.equal('TOKEN_INVALID')
    const beyond = [0, 1, 2, 3].map((each) => ({ ...place, partition: each }))
    expect(await reasonOf(get({ key: bytes('k'), token: { logIdentity: '', positions: beyond } }))).to.equal(
      'TOKEN_BEYOND_LOG',
    )
    const nowhere = { logIdentity: '', positions: [{ ...place, partition: 9 }] }
    expect(await reasonOf(get({ key: bytes('k'), token: nowhere }))).to.equal('TOKEN_INVALID')
  })

  it('scans in order, and follows a row through put, expiry and resume', async () => {
    for (const name of ['s/1', 's/2', 's/3']) await put({ key: bytes(name), value: bytes(name) })
    const rows: string[] = []
    for await (const message of client.scan(ScanRequest.create({ prefix: bytes('s/') }))) {
      rows.push(...(message as ScanResponse).rows.map(({ key }) => key.toString()))
    }
    expect(rows).to.deep.equal(['s/1', 's/2', 's/3'])

    const watch = client.watch(
      WatchRequest.create({ selector: { $case: 'prefix', value: bytes('w/') }, initialRows: true }),
    )
    const messages: WatchResponse[] = []
    watch.on('data', (message: WatchResponse) => messages.push(message))
    watch.on('error', () => undefined)
    const seen = (): string[] =>
      messages.flatMap(({ events }) =>
        events.map(({ kind, row }) => `${kind} ${row?.key.toString()} ${row?.value.toString()}`),
      )
    while (!messages.some(({ mark }) => mark === WatchMark.WATCH_MARK_INITIAL_END)) await once(watch, 'data')
    await put({ key: bytes('w/1'), value: bytes('a'), ttlMs: 1000 })
    while (seen().length < 1) await once(watch, 'data')
    const token = messages.at(-1)?.token
    test.advance(2000)
    while (seen().length < 2) await once(watch, 'data')
    expect(seen()).to.deep.equal(['1 w/1 a', '3 w/1 '])
    watch.cancel()
    const resumed = client.watch(WatchRequest.create({ resume: token }))
    resumed.on('error', () => undefined)
    const changes: string[] = []
    resumed.on('data', ({ events }: WatchResponse) => {
      changes.push(...events.map(({ kind, row }) => `${kind} ${row?.key.toString()}`))
    })
    while (changes.length === 0) await once(resumed, 'data')
    expect(changes).to.deep.equal(['3 w/1'])
    resumed.cancel()
  })

  it('pipelines', async () => {
    const call = client.pipeline()
    const operations = Array.from({ length: 200 }, (_, id) => ({
      ...newOperation(
        id,
        id % 4 === 3 ? Kind.PIPELINE_OPERATION_KIND_INCREMENT : Kind.PIPELINE_OPERATION_KIND_PUT,
        bytes(`p${id % 4}`),
      ),
      value: id % 4 === 3 ? bytes('') : bytes(String(id)),
      delta: id % 4 === 3 ? '2' : '0',
      sequence: id,
    }))
    call.write({ ...PipelineRequest.create({ session: 'pipeline' }), operations })
    const results = new Map<number, PipelineResponse['results'][number]>()
    const take = async (): Promise<void> => {
      const [frame] = (await once(call, 'data')) as [PipelineResponse]
      for (const result of frame.results) results.set(result.id, result)
    }
    while (results.size < operations.length) await take()
    expect([...results.values()].filter(({ reason }) => reason !== '')).to.deep.equal([])
    expect(results.get(199)?.number).to.equal('100')
    results.clear()
    const reads = [0, 1, 2, 3].map((id) =>
      newOperation(id, Kind.PIPELINE_OPERATION_KIND_GET, bytes(`p${id}`)),
    )
    call.write({ ...PipelineRequest.create({}), operations: reads })
    while (results.size < reads.length) await take()
    expect([0, 1, 2, 3].map((id) => results.get(id)?.value.toString())).to.deep.equal([
      '196',
      '197',
      '198',
      '100',
    ])
    call.end()
  })

  it('ends watches when the node itself says that it closes', async () => {
    const other = await openTestNode()
    const serving = {
      node: other.node,
      draining: new AbortController().signal,
      meters: new Map(),
      totals: newMeters(),
      bug: (bug: unknown) => void bugs.push(bug),
      drain: () => undefined,
    }
    const own = await serveGrpc(serving, { host: '127.0.0.1', port: 0 }, 0)
    const ownClient = new KeyValueServiceClient(addressText(own.address), credentials.createInsecure())
    const watch = ownClient.watch(WatchRequest.create({ initialRows: true }))
    await once(watch, 'data')
    const failing = once(watch, 'error')
    await other.node.close(Date.now() + 1000)
    const [error] = (await failing) as [ServiceError]
    expect(refusalOf(error).reason).to.equal('NODE_DRAINING')
    ownClient.close()
    await own.stop(Date.now())
  })
})
