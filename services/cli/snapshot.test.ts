import { existsSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { ReplicaState } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { startNode, type NodeProcess } from '../node/process.fixture.ts'
import { CLI } from './run.fake.ts'
import { servedPartitions, shared } from './snapshot-create.ts'

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

describe('tidemark snapshot', function () {
  this.timeout(60_000)
  let root: string
  let node: NodeProcess | undefined
  let settings: Record<string, string>

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'tidemark-snapshot-'))
    settings = {
      PATH: process.env['PATH'] ?? '',
      TIDEMARK_DATA_DIR: join(root, 'data'),
      TIDEMARK_SNAPSHOT_URL: `file://${join(root, 'snapshots')}`,
      TIDEMARK_PARTITIONS: '3',
      TIDEMARK_LOG_LEVEL: 'error',
    }
  })
  afterEach(async () => {
    await node?.end('SIGKILL')
    node = undefined
    await rm(root, { recursive: true, force: true })
  })

  async function tidemark(...args: readonly string[]): Promise<Ran> {
    const env = { ...settings, TIDEMARK_SERVER: node?.address ?? '127.0.0.1:1' }
    const child = spawn(process.execPath, [CLI, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { code: child.exitCode, out, err }
  }
  async function ok(...args: readonly string[]): Promise<string> {
    const ran = await tidemark(...args)
    expect(ran.err, args.join(' ')).to.equal('')
    expect(ran.code, args.join(' ')).to.equal(0)
    return ran.out
  }
  const replicas = (): string => join(root, 'data', 'replicas')
  const copyOf = (snapshot: string, partition: number): string =>
    join(root, 'snapshots', 'tidemark', snapshot, 'tidemark.default', `${partition}.copy`)

  it('brings a cluster back from a snapshot and the rest of the log, the log trimmed', async () => {
    node = await startNode(settings)
    for (let at = 0; at < 12; at++) await ok('put', `key${at}`, `one ${at}`)
    const first = (await ok('snapshot', 'create')).trim()
    await ok('put', 'key3', 'two 3')
    const made = JSON.parse(await ok('snapshot', 'create', '--keep', '2', '-o', 'json')) as {
      snapshot: string
      token: string
    }
    const second = made.snapshot
    await ok('put', 'key4', 'three 4')
    // The positions of the copies, to read as of.
    expect(await ok('get', 'key3', 'key4', '--as-of', made.token)).to.equal('two 3\none 4\n')
    expect(
      (await ok('snapshot', 'list')).split('\n').map((line) => line.split('\t').slice(0, 4)),
    ).to.deep.equal([[second, 'complete', '3', '12'], [first, 'complete', '3', '12'], ['']])
    expect(await ok('snapshot', 'verify', '--all')).to.contain(`snapshot ${first} is good`)
    const dry = await ok('snapshot', 'trim', '--dry-run')
    expect(dry).to.contain('would be trimmed')
    expect(await ok('snapshot', 'trim')).to.equal(dry.replaceAll('would be trimmed', 'trimmed'))
    expect((await tidemark('snapshot', 'restore')).code, 'a node that runs is not restored').to.equal(4)
    await node.end('SIGTERM')

    // The newest copy of one partition is damaged: the one before is used, loudly.
    const damaged = copyOf(second, 1)
    const bytes = await readFile(damaged)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4
    await writeFile(damaged, bytes)
    expect(await tidemark('snapshot', 'verify')).to.include({ code: 1, out: '' })
    await rm(replicas(), { recursive: true })
    const restored = await tidemark('snapshot', 'restore')
    expect(restored.err).to.contain(
      `tidemark.default/1 in snapshot ${second} is no good, the one before is used`,
    )
    expect(restored.code).to.equal(0)
    expect(restored.out).to.contain('restored 3 replicas').and.to.contain('1 of them from older ones')

    node = await startNode(settings)
    const values = await ok('get', 'key3', 'key4', 'key5')
    expect(values).to.equal('two 3\nthree 4\none 5\n')
    expect(await ok('scan', '--keys-only')).to.equal(
      await ok('scan', '--keys-only', '--consistency', 'eventual'),
    )
    expect((await ok('scan', '--keys-only')).split('\n')).to.have.lengthOf(13)
    await ok('put', 'key5', 'four 5')
    await node.end('SIGTERM')

    // A node without replicas takes them from the snapshots by itself: its log begins too late.
    await rm(replicas(), { recursive: true })
    node = await startNode(settings)
    expect(await ok('get', 'key3', 'key5')).to.equal('two 3\nfour 5\n')
  })

  it('says what is missing', async () => {
    expect((await tidemark('snapshot', 'restore')).err).to.contain('SNAPSHOT_NOT_FOUND')
    expect((await tidemark('snapshot', 'verify')).code).to.equal(3)
    expect(existsSync(replicas())).to.equal(false)
    expect((await tidemark('snapshot', 'create')).code, 'no node').to.equal(5)
    expect((await tidemark('snapshot', 'create', '--keep', '0')).code).to.equal(2)
    delete settings['TIDEMARK_SNAPSHOT_URL']
    const ran = await tidemark('snapshot', 'list')
    expect(ran.err).to.contain('set TIDEMARK_SNAPSHOT_URL')
    expect(ran.code).to.equal(1)
  })

  it('leaves nothing behind where no copy of a partition is good', async () => {
    node = await startNode(settings)
    await ok('put', 'a', '1')
    const snapshot = (await ok('snapshot', 'create')).trim()
    await node.end('SIGTERM')
    node = undefined
    await rm(replicas(), { recursive: true })
    await rm(copyOf(snapshot, 2))
    const ran = await tidemark('snapshot', 'restore')
    expect(ran.code).to.equal(3)
    expect(existsSync(replicas())).to.equal(false)
    expect(await readdir(join(root, 'data'))).to.include('log')
  })
})

describe('the partitions of a snapshot', () => {
  const describe_ = (map: object | undefined, replicas: object[] = []) =>
    servedPartitions('me:1', { map, replicas } as unknown as Parameters<typeof servedPartitions>[1])

  it('are those of the map, each with the nodes that serve it; without a map those of the node', () => {
    const node = (nodeId: string) => ({ nodeId, address: `${nodeId}:1` })
    const map = {
      nodes: [node('n1'), node('n2'), node('n3')],
      keyspaces: [
        {
          keyspace: { name: 'default' },
          placements: [
            { replicas: ['n1', 'n2'] },
            { replicas: ['n2', 'n3'] },
            { replicas: ['n1', 'n2'] },
            { replicas: ['n2'] },
          ],
        },
      ],
    }
    const served = describe_(map)
    expect(served.map(({ addresses }) => addresses.join())).to.deep.equal([
      'n1:1,n2:1',
      'n2:1,n3:1',
      'n1:1,n2:1',
      'n2:1',
    ])
    const shares = [...shared(served)].map(([address, list]) => [
      address,
      list.map(({ partition }) => partition).join(),
    ])
    expect(Object.fromEntries(shares)).to.deep.equal({ 'n2:1': '3', 'n1:1': '0,2', 'n3:1': '1' })
    const alone = describe_(undefined, [
      { keyspace: 'default', partition: 0, state: ReplicaState.REPLICA_STATE_LIVE },
      { keyspace: 'default', partition: 1, state: ReplicaState.REPLICA_STATE_RESTORING },
    ])
    expect(alone.map(({ addresses }) => addresses.join())).to.deep.equal(['me:1', 'me:1'])
    expect(() => describe_({ ...map, nodes: [node('n1')] })).to.throw('no node serves partition 1')
    expect(() =>
      describe_(undefined, [
        { keyspace: 'default', partition: 0, state: ReplicaState.REPLICA_STATE_STOPPED },
      ]),
    ).to.throw('no node serves partition 0')
  })
})
