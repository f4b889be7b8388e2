import { setImmediate as turn } from 'node:timers/promises'
import { type ClientReadableStream, type ServiceError, status } from '@grpc/grpc-js'
import { expect } from 'chai'
import {
  KeyValueServiceService,
  WatchEvent_Kind,
  WatchMark,
  WatchRequest,
  type WatchResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { WATCH_PROGRESS_MS_MAX } from '../../streams/core/limits.ts'
import { type Served, refusalOf, serveFake } from './served.fake.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

/** A watch with its messages as they come. */
class Watching {
  readonly call: ClientReadableStream<WatchResponse>
  readonly messages: WatchResponse[] = []
  error: ServiceError | undefined

  constructor(served: Served, request: Parameters<typeof WatchRequest.create>[0]) {
    this.call = served.keyValues.watch(WatchRequest.create(request))
    this.call.on('data', (message: WatchResponse) => this.messages.push(message))
    this.call.on('error', (error: ServiceError) => (this.error = error))
  }

  get events(): string[] {
    return this.messages.flatMap(({ events }) =>
      events.map(({ row }) => `${row?.key.toString()}=${row?.value.toString()}`),
    )
  }

  async until(enough: () => boolean): Promise<this> {
    while (!enough() && this.error === undefined) await turn()
    return this
  }

  async failure(): Promise<ServiceError> {
    while (this.error === undefined) await turn()
    return this.error
  }
}

describe('KeyValueService.Watch', () => {
  let served: Served
  beforeEach(async () => (served = await serveFake()))
  afterEach(() => served.close())

  const put = (key: string, value: string): Promise<unknown> =>
    served.node
      .keyspace('default')
      .write({ kind: 'put', key: bytes(key), value: bytes(value) }, { deadline: Date.now() + 5000 })
  const remove = (key: string): Promise<unknown> =>
    served.node
      .keyspace('default')
      .write({ kind: 'delete', key: bytes(key) }, { deadline: Date.now() + 5000 })
  const watching = async (request: Parameters<typeof WatchRequest.create>[0]): Promise<Watching> => {
    const before = served.node.watchers
    const watch = new Watching(served, request)
    return watch.until(() => served.node.watchers > before)
  }

  it('streams what happens from now on, with tokens to resume', async () => {
    await put('a', 'before')
    const watch = await watching({ previousRows: true })
    await put('a', '1')
    await remove('a')
    await watch.until(() => watch.events.length === 2)
    const events = watch.messages.flatMap((message) => message.events)
    expect(events.map(({ kind }) => kind)).to.deep.equal([
      WatchEvent_Kind.KIND_PUT,
      WatchEvent_Kind.KIND_DELETED,
    ])
    expect(events.map(({ previous }) => previous?.value.toString())).to.deep.equal(['before', '1'])
    expect(events[0]?.row?.version).to.be.lessThan(events[1]?.row?.version ?? 0)
    const token = watch.messages.at(-1)?.token
    expect(token?.logIdentity).to.equal('fake-log')
    await put('a', '2')
    const resumed = await watching({ resume: token })
    await resumed.until(() => resumed.events.length === 1)
    expect(resumed.events).to.deep.equal(['a=2'])
  })

  it('sends the rows as they stand first, and marks where they end', async () => {
    await put('a', '1')
    await put('b', '2')
    const watch = await watching({ initialRows: true })
    await watch.until(() => watch.messages.length === 2)
    expect(watch.events).to.have.members(['a=1', 'b=2'])
    expect(watch.messages.map(({ mark }) => mark)).to.deep.equal([
      WatchMark.WATCH_MARK_UNSPECIFIED,
      WatchMark.WATCH_MARK_INITIAL_END,
    ])
  })

  it('selects a key, a prefix or a range', async () => {
    const selectors: [Parameters<typeof WatchRequest.create>[0], string[]][] = [
      [{ selector: { $case: 'key', value: bytes('b') } }, ['b=1']],
      [{ selector: { $case: 'prefix', value: bytes('b') } }, ['b=1', 'b1=1']],
      [{ selector: { $case: 'range', value: { start: bytes('b1'), end: bytes('d') } } }, ['b1=1', 'c=1']],
    ]
    const watches = await Promise.all(
      selectors.map(async ([request, expected]) => ({ watch: await watching(request), expected })),
    )
    for (const key of ['a', 'b', 'b1', 'c', 'd']) await put(key, '1')
    for (const { watch, expected } of watches) {
      await watch.until(() => watch.events.length === expected.length)
      expect(watch.events).to.have.members(expected)
    }
  })

  it('puts what gathered while it was not pulled into one message', async () => {
    const watch = await watching({})
    await Promise.all(Array.from({ length: 50 }, (_, index) => put(`k${index}`, 'v')))
    await watch.until(() => watch.events.length === 50)
    expect(watch.messages.length).to.be.lessThan(10)
  })

  it('frees the watch when the peer leaves', async () => {
    const watch = await watching({})
    watch.call.cancel()
    while (served.node.watchers > 0) await turn()
    const meter = served.meters.get(KeyValueServiceService.watch.path)
    while (meter?.inFlight !== 0) await turn()
    expect(served.bugs).to.deep.equal([])
  })

  it('ends with NODE_DRAINING when the node drains', async () => {
    const watch = await watching({})
    served.draining.abort()
    const error = await watch.failure()
    expect(refusalOf(error).reason).to.equal('NODE_DRAINING')
    expect(error.code).to.equal(status.UNAVAILABLE)
    expect(served.node.watchers).to.equal(0)
  })

  it('ends with the error of the watch', async () => {
    const watch = await watching({})
    served.node.failure = new TidemarkError('WATCH_TOO_SLOW', 'it did not keep up', {
      metadata: { token: 'abc' },
    })
    served.node.keyspace('default').wakeWatchers()
    const refusal = refusalOf(await watch.failure())
    expect(refusal.reason).to.equal('WATCH_TOO_SLOW')
    expect(refusal.metadata).to.deep.equal({ token: 'abc' })
    expect(served.node.watchers).to.equal(0)
  })

  const refusals: [string, Parameters<typeof WatchRequest.create>[0], string][] = [
    [
      'initial rows together with resume',
      { initialRows: true, resume: { logIdentity: '', positions: [] } },
      'FIELD_INVALID',
    ],
    ['a partition that does not exist', { partitions: [4] }, 'FIELD_INVALID'],
    [
      'progress marks too rarely for a timer',
      { progressIntervalMs: WATCH_PROGRESS_MS_MAX + 1 },
      'FIELD_INVALID',
    ],
    ['an empty key', { selector: { $case: 'key', value: bytes('') } }, 'KEY_EMPTY'],
    [
      'a range that ends before it begins',
      { selector: { $case: 'range', value: { start: bytes('b'), end: bytes('a') } } },
      'FIELD_INVALID',
    ],
    ['a keyspace that is not there', { keyspace: 'nowhere' }, 'KEYSPACE_NOT_FOUND'],
  ]
  for (const [what, request, reason] of refusals) {
    it(`refuses ${what}`, async () => {
      expect(refusalOf(await new Watching(served, request).failure()).reason).to.equal(reason)
    })
  }

  it('says so when the node has all the watchers that it takes', async () => {
    served.node.watchersMax = 1
    await watching({})
    const error = await new Watching(served, {}).failure()
    expect(refusalOf(error).reason).to.equal('OVERLOADED')
    expect(error.code).to.equal(status.RESOURCE_EXHAUSTED)
  })
})
