/** A whole node on the embedded log: how it starts, what refuses it, how it ends. */
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { type ServiceError, credentials, status } from '@grpc/grpc-js'
import { expect } from 'chai'
import {
  ClusterServiceClient,
  DescribeRequest,
  type DescribeResponse,
  DrainRequest,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import {
  GetRequest,
  type GetResponse,
  KeyValueServiceClient,
  PutRequest,
  type PutResponse,
  WatchRequest,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import {
  CreateRequest,
  type CreateResponse,
  KeyspaceServiceClient,
  ListRequest,
  type ListResponse,
} from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { AssertionError } from '../../streams/core/assert.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { addressText } from './address.ts'
import { type Config, readConfig } from './config.ts'
import { FakeNode } from './face.fake.ts'
import { createLogger } from './logger.ts'
import { type RunningNode, type Surroundings, startNode } from './node-process.ts'
import { ask, refusalOf } from './served.fake.ts'

describe('a node', () => {
  let folder: string
  let lines: string[]
  const running: RunningNode[] = []
  const closing: (() => void)[] = []
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-node-'))
    lines = []
  })
  afterEach(async () => {
    for (const close of closing.splice(0)) close()
    for (const node of running.splice(0)) await node.stop()
    await rm(folder, { recursive: true })
  })

  const config = (settings: Record<string, string> = {}): Config =>
    readConfig({
      TIDEMARK_DATA_DIR: folder,
      TIDEMARK_GRPC_LISTEN: '127.0.0.1:0',
      TIDEMARK_HTTP_LISTEN: '127.0.0.1:0',
      TIDEMARK_PARTITIONS: '4',
      ...settings,
    })
  const surroundings = (more: Partial<Surroundings> = {}): Surroundings => ({
    logger: createLogger('info', { write: (line) => lines.push(line) }),
    signal: new AbortController().signal,
    fatal: (bug) => {
      throw bug
    },
    ...more,
  })
  const start = async (
    settings: Record<string, string> = {},
    more: Partial<Surroundings> = {},
  ): Promise<RunningNode> => {
    const node = await startNode(config(settings), surroundings(more))
    running.push(node)
    return node
  }
  const refusal = async (starting: Promise<RunningNode>): Promise<TidemarkError> => {
    const caught: unknown = await starting.catch((error: unknown) => error)
    if (caught instanceof TidemarkError) return caught
    throw new Error('it was not refused', { cause: caught })
  }
  const keyValuesOf = (node: RunningNode): KeyValueServiceClient => {
    const client = new KeyValueServiceClient(addressText(node.grpc), credentials.createInsecure())
    closing.push(() => client.close())
    return client
  }
  const put = (client: KeyValueServiceClient, key: string, value: string): Promise<PutResponse> =>
    ask((done) => client.put(PutRequest.create({ key: Buffer.from(key), value: Buffer.from(value) }), done))
  const get = async (client: KeyValueServiceClient, key: string): Promise<string | undefined> =>
    (
      await ask<GetResponse>((done) => client.get(GetRequest.create({ key: Buffer.from(key) }), done))
    ).row?.value.toString()

  it('keeps its rows and its name over a restart', async () => {
    const first = await start()
    await put(keyValuesOf(first), 'greeting', 'hello')
    const { nodeId, logIdentity } = first.node.description
    expect(nodeId).to.match(/^node-[0-9a-f]{8}$/)
    expect(first.greeting).to.match(
      /^tidemark \d+\.\d+\.\d+ listening on grpc:\/\/127\.0\.0\.1:\d+ and http:\/\/127\.0\.0\.1:\d+, embedded log in /,
    )
    await first.stop()
    const second = await start()
    expect(second.node.description).to.deep.include({ nodeId, logIdentity })
    expect(await get(keyValuesOf(second), 'greeting')).to.equal('hello')
  })

  it('describes itself, and makes keyspaces', async () => {
    const node = await start({ TIDEMARK_NODE_ID: 'n1', TIDEMARK_CLUSTER: 'c1' })
    const clusters = new ClusterServiceClient(addressText(node.grpc), credentials.createInsecure())
    const keyspaces = new KeyspaceServiceClient(addressText(node.grpc), credentials.createInsecure())
    closing.push(
      () => clusters.close(),
      () => keyspaces.close(),
    )
    const described = await ask<DescribeResponse>((done) => clusters.describe(DescribeRequest.create(), done))
    expect(described).to.deep.include({ cluster: 'c1', nodeId: 'n1', logKind: 'embedded' })
    expect(described.replicas).to.have.length(4)
    const create = (request: Parameters<typeof CreateRequest.create>[0]): Promise<CreateResponse> =>
      ask((done) => keyspaces.create(CreateRequest.create(request), done))
    const made = await create({
      name: 'orders',
      partitions: 2,
      partitionByPrefix: Buffer.from('/'),
      valueBytesMax: 1000,
      packingDisabled: true,
    })
    expect(made.keyspace).to.deep.equal({
      name: 'orders',
      topic: 'c1.orders',
      partitions: 2,
      partitionByPrefix: Buffer.from('/'),
      valueBytesMax: 1000,
      packingDisabled: true,
      replication: 3,
      defaultTtlMs: 0,
    })
    const listed = await ask<ListResponse>((done) => keyspaces.list(ListRequest.create(), done))
    expect(listed.keyspaces.map(({ name }) => name)).to.deep.equal(['default', 'orders'])
    for (const bad of [
      { name: 'Orders' },
      { name: '' },
      { name: 'x', partitions: 1025 },
      { name: 'x', valueBytesMax: 2 ** 30 },
    ]) {
      const error = await create(bad).catch((caught: unknown) => caught)
      expect(refusalOf(error as ServiceError).reason).to.equal('FIELD_INVALID')
    }
    const again = await create({ name: 'orders', partitions: 3 }).catch((caught: unknown) => caught)
    expect(refusalOf(again as ServiceError).reason).to.equal('KEYSPACE_EXISTS')
  })

  describe('is refused', () => {
    it('where another process has the port', async () => {
      const other = createServer().listen(0, '127.0.0.1')
      await once(other, 'listening')
      closing.push(() => other.close())
      const taken = other.address()
      const port = typeof taken === 'object' && taken !== null ? taken.port : 0
      for (const setting of ['TIDEMARK_GRPC_LISTEN', 'TIDEMARK_HTTP_LISTEN']) {
        const error = await refusal(startNode(config({ [setting]: `127.0.0.1:${port}` }), surroundings()))
        expect(error.reason).to.equal('PORT_TAKEN')
        expect(error.message).to.contain(`127.0.0.1:${port}`).and.to.contain(setting)
      }
      // Nothing was left open: the directory is free.
      await start()
    })

    it('where its data directory is in use', async () => {
      await start()
      expect((await refusal(startNode(config(), surroundings()))).reason).to.equal('STORE_LOCKED')
    })

    it('where its data directory is none', async () => {
      const file = join(folder, 'file')
      await writeFile(file, '')
      const error = await refusal(startNode(config({ TIDEMARK_DATA_DIR: file }), surroundings()))
      expect(error.reason).to.equal('STORE_UNWRITABLE')
      expect(error.message).to.contain(file)
    })

    it('where the file system of its data directory takes no folders', async function () {
      if (!existsSync('/proc/self')) this.skip()
      for (const more of [{}, { TIDEMARK_NODE_ID: 'n1' }]) {
        const settings = { TIDEMARK_DATA_DIR: '/proc/tidemark/data', ...more }
        const error = await refusal(startNode(config(settings), surroundings()))
        expect(error.reason).to.equal('STORE_UNWRITABLE')
        expect(error.message).to.contain('/proc/tidemark')
      }
    })

    it('where its data directory cannot be written', async function () {
      // Nothing is forbidden to root.
      if (process.getuid?.() === 0) this.skip()
      await chmod(folder, 0o500)
      const unwritable = await refusal(startNode(config(), surroundings()))
      await chmod(folder, 0o700)
      expect(unwritable.reason).to.equal('STORE_UNWRITABLE')
    })

    it('where the data directory is of another cluster', async () => {
      await (await start()).stop()
      expect(
        (await refusal(startNode(config({ TIDEMARK_CLUSTER: 'other' }), surroundings()))).reason,
      ).to.equal('STORE_FOREIGN')
    })

    it('where it is told to give up while it waits for Kafka', async () => {
      const giveUp = new AbortController()
      const settings = { TIDEMARK_LOG: 'kafka', TIDEMARK_KAFKA_BROKERS: '127.0.0.1:1' }
      const starting = startNode(config(settings), surroundings({ signal: giveUp.signal }))
      while (!lines.some((line) => line.includes('127.0.0.1:1'))) await turn()
      giveUp.abort()
      expect((await refusal(starting)).reason).to.equal('CANCELLED')
      expect(
        lines.filter((line) => line.includes('No Kafka broker answers')),
        'one clear line',
      ).to.have.length(1)
    })
  })

  describe('that drains', () => {
    const startFake = async (): Promise<{ node: RunningNode; fake: FakeNode }> => {
      const fake = new FakeNode()
      return { node: await start({}, { open: async () => fake }), fake }
    }

    it('answers the write in flight, ends watches, refuses new calls, and closes', async () => {
      const { node, fake } = await startFake()
      const client = keyValuesOf(node)
      const watch = client.watch(WatchRequest.create())
      const watchError = once(watch, 'error')
      fake.holding = true
      const writing = put(client, 'a', 'in flight')
      while (fake.written.length === 0 || fake.watchers === 0) await turn()
      const stopping = node.stop()
      const [error] = (await watchError) as [ServiceError]
      expect(refusalOf(error).reason).to.equal('NODE_DRAINING')
      const readiness = await fetch(`http://${addressText(node.http)}/readyz`)
      expect(readiness.status).to.equal(503)
      const late = await put(keyValuesOf(node), 'b', 'too late').catch((caught: unknown) => caught)
      expect(late).to.have.property('code', status.UNAVAILABLE)
      expect(fake.closed, 'it waits for the write').to.equal(false)
      fake.release()
      expect((await writing).outcome?.applied).to.equal(true)
      await stopping
      await node.stopped
      expect(fake.closed).to.equal(true)
      expect(fake.written).to.have.length(1)
    })

    it('does so when ClusterService.Drain asks for it', async () => {
      const { node, fake } = await startFake()
      const clusters = new ClusterServiceClient(addressText(node.grpc), credentials.createInsecure())
      closing.push(() => clusters.close())
      await ask((done) => clusters.drain(DrainRequest.create(), done))
      await node.stopped
      expect(fake.closed).to.equal(true)
    })
  })

  it('ends when an assertion fails, and only tells of other bugs', async () => {
    const fake = new FakeNode()
    const fatal: unknown[] = []
    const client = keyValuesOf(
      await start({}, { open: async () => fake, fatal: (bug) => void fatal.push(bug) }),
    )
    fake.failure = new TypeError('x is not a function')
    const error = await get(client, 'a').catch((caught: unknown) => caught)
    expect(refusalOf(error as ServiceError).reason).to.equal('INTERNAL')
    expect(fatal).to.deep.equal([])
    expect(lines.join('')).to.contain('a bug').and.to.contain('x is not a function')
    fake.failure = new AssertionError('rows and offset moved apart')
    await get(client, 'a').catch(() => undefined)
    expect(fatal).to.deep.equal([fake.failure])
  })

  it('tells of becoming ready and unready', async () => {
    const fake = new FakeNode()
    await start({}, { open: async () => fake })
    fake.setReady(false)
    fake.setReady(true)
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).to.deep.equal([
      'not ready: of 4 replicas some are not live, or the log does not answer',
      'ready: all 4 replicas are live',
    ])
  })
})
