import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServiceError } from '@grpc/grpc-js'
import { expect } from 'chai'
import type {
  PublishResponse,
  SnapshotObject,
  SnapshotServiceClient,
  TrimResponse,
} from '../../proto/generated/tidemark/v1/snapshot_service.ts'
import { must } from '../../streams/core/assert.ts'
import type { Partition } from '../../streams/core/types.ts'
import { type TestNode, openTestNode, soon } from '../../streams/node.fixture.ts'
import { openDirectoryStore } from '../../streams/snapshot/directory-store.ts'
import { reasonOf } from '../../streams/snapshot/copies.fake.ts'
import { installCopy } from '../../streams/snapshot/install.ts'
import { snapshotName } from '../../streams/snapshot/manifest.ts'
import { listSnapshots, verifySnapshot } from '../../streams/snapshot/snapshot.ts'
import { openMemoryStore } from '../../streams/store/memory.ts'
import { systemClock } from '../../streams/system.ts'
import { messagesOf, peerCopy, snapshotClient } from '../snapshot-calls.ts'
import { addressText } from './address.ts'
import type { Serving } from './calls.ts'
import { ask, refused } from './served.fake.ts'
import { type GrpcServer, serveGrpc } from './server.ts'
import { newMeters } from '../../streams/meters.ts'

const NOON = Date.UTC(2026, 0, 31, 12)
const PARTITIONS = [0, 1, 2, 3].map((partition) => ({ keyspace: '', partition }))

describe('SnapshotService on a node', () => {
  let root: string
  let test: TestNode
  let server: GrpcServer
  let client: SnapshotServiceClient
  let address: string
  const bugs: unknown[] = []
  let totals: Serving['totals']

  async function serve(snapshots: Serving['snapshots']): Promise<void> {
    const draining = new AbortController()
    totals = newMeters()
    const bug = (error: unknown): void => void bugs.push(error)
    const serving = {
      node: test.node,
      snapshots,
      draining: draining.signal,
      meters: new Map(),
      totals,
      bug,
      drain: () => undefined,
    }
    server = await serveGrpc(serving, { host: '127.0.0.1', port: 0 }, 0)
    address = addressText(server.address)
    client = snapshotClient(address)
  }

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'tidemark-snapshots-'))
    test = await openTestNode()
    await serve(openDirectoryStore(root))
    for (let at = 0; at < 40; at++) await put(`key ${at}`)
  })
  afterEach(async () => {
    client.close()
    await server.stop(Date.now())
    await test.node.close(Date.now())
    await rm(root, { recursive: true, force: true })
    expect(bugs).to.deep.equal([])
  })

  const put = (key: string) =>
    test.node
      .keyspace('default')
      .write({ kind: 'put', key: Buffer.from(key), value: Buffer.from('v') }, { deadline: soon() })

  async function create(snapshot: string, partitions = PARTITIONS): Promise<SnapshotObject[]> {
    const done: SnapshotObject[] = []
    for await (const message of messagesOf(client.create({ snapshot, partitions }), address))
      if (message.done !== undefined) done.push(message.done)
    return done
  }
  const publish = (snapshot: string, objects: SnapshotObject[], keep = 0): Promise<PublishResponse> =>
    ask((done: (error: ServiceError | null, response: PublishResponse) => void) =>
      client.publish({ snapshot, objects, keep }, done),
    )
  async function trim(dryRun = false): Promise<TrimResponse[]> {
    const messages: TrimResponse[] = []
    for await (const message of messagesOf(client.trim({ dryRun }), address)) messages.push(message)
    return messages
  }
  const at = (minute: number): string => snapshotName(NOON + minute * 60_000, 'abcd')

  it('writes, publishes and keeps snapshots that read back', async () => {
    const names: string[] = []
    for (const minute of [1, 2, 3]) {
      const objects = await create(at(minute))
      expect(objects.map(({ partition }) => partition)).to.deep.equal([0, 1, 2, 3])
      expect(objects.reduce((sum, { rows }) => sum + rows, 0)).to.equal(40)
      const { dropped } = await publish(at(minute), objects, 2)
      names.push(...dropped)
    }
    expect(names).to.deep.equal([at(1)])
    const store = openDirectoryStore(root)
    const { complete } = await listSnapshots(store, 'test')
    expect(complete.map(({ snapshot }) => snapshot)).to.deep.equal([at(3), at(2)])
    for (const manifest of complete) expect(await verifySnapshot(store, manifest)).to.deep.equal([])
    const replicas = test.node.replicas()
    expect(complete[0]?.partitions.map(({ next, chainHash }) => [next, chainHash])).to.deep.equal(
      replicas.map(({ next, chainHash }) => [next, chainHash]),
    )
  })

  it('refuses what is no snapshot, and partitions that are not there', async () => {
    expect(await reasonOf(create('yesterday'))).to.equal('FIELD_INVALID')
    expect(await reasonOf(create(at(1), [{ keyspace: 'none', partition: 0 }]))).to.equal('KEYSPACE_NOT_FOUND')
    expect(await reasonOf(create(at(1), [{ keyspace: '', partition: 4 }]))).to.equal('FIELD_INVALID')
    const objects = await create(at(1))
    const missing = objects.map((object) => ({ ...object, name: object.name.replace(at(1), at(2)) }))
    expect((await refused(publish(at(2), missing))).reason).to.equal('SNAPSHOT_CORRUPT')
    expect(totals.tallies['snapshot.parts'].totals.get('failed')).to.be.above(0)
    expect((await refused(publish(at(1), []))).reason).to.equal('FIELD_INVALID')
  })

  it('says that it has no place for snapshots', async () => {
    client.close()
    await server.stop(Date.now())
    await serve(undefined)
    expect(await reasonOf(create(at(1)))).to.equal('CONFIG_INVALID')
    expect(await reasonOf(trim())).to.equal('CONFIG_INVALID')
  })

  it('trims the log up to the oldest snapshot that is good; copies of it go on', async () => {
    expect(await reasonOf(trim())).to.equal('TRIM_REFUSED')
    await publish(at(1), await create(at(1)))
    const nextOf = (): number[] => test.node.replicas().map(({ next }) => next)
    const first = nextOf()
    for (let key = 0; key < 40; key++) await put(`key ${key}`)
    const second = await create(at(2))
    await publish(at(2), second)
    const trimmedTo = (messages: readonly TrimResponse[]): (number | undefined)[] =>
      messages.flatMap(({ done }) =>
        done === undefined ? [] : [done.refused === '' ? done.trimmedTo : undefined],
      )
    expect(trimmedTo(await trim(true))).to.deep.equal(first)
    expect(trimmedTo(await trim())).to.deep.equal(first)

    // The oldest one is damaged: it counts for nothing, and says so.
    const object = join(root, 'test', at(1), 'test.default', '2.copy')
    const bytes = await readFile(object)
    await writeFile(object, bytes.subarray(0, -1))
    const messages = await trim()
    expect(messages.flatMap(({ damaged }) => (damaged === '' ? [] : [damaged]))).to.deep.equal([at(1)])
    expect(trimmedTo(messages)).to.deep.equal(second.map(({ next }) => next))

    // What was trimmed cannot be replayed, but copied.
    const store = openMemoryStore()
    const { topicIdentity, partitions, topic } = must(second[1], 'a partition')
    const installed = await installCopy({
      store,
      wanted: {
        cluster: 'test',
        logIdentity: test.node.description.logIdentity,
        topic,
        topicIdentity,
        partition: 1 as Partition,
        partitions,
        notBefore: must(second[1], 'a partition').next as never,
      },
      copy: peerCopy({ address, keyspace: '', partition: 1 }, systemClock, new AbortController().signal),
    })
    expect(installed.header.next).to.equal(nextOf()[1])
  })
})
