import { expect } from 'chai'
import { FakeCluster } from '../client/cluster.fake.ts'
import { FakeServer } from '../client/server.fake.ts'
import { run, type Ran } from './run.fake.ts'

describe('tidemark cluster (command line)', () => {
  let server: FakeServer
  const tidemark = (args: readonly string[]): Promise<Ran> => run(server.address, args)
  const ok = async (args: readonly string[]): Promise<string> => {
    const ran = await tidemark(args)
    expect(ran.err, args.join(' ')).to.equal('')
    expect(ran.code).to.equal(0)
    return ran.out
  }

  before(async () => {
    server = await FakeServer.start()
    server.rows.put('a', '1')
  })
  after(() => server.close())

  it('shows a node without a map as a cluster of one', async () => {
    expect(await ok(['cluster'])).to.equal(`fake-1\t${server.address}\t-\t0.0.0\t2\t2\tyes\tserving\n`)
    expect(JSON.parse(await ok(['cluster', '-o', 'json']))).to.deep.include({
      cluster: 'fake',
      log_kind: 'memory',
      nodes: [
        {
          node_id: 'fake-1',
          address: server.address,
          zone: '',
          version: '0.0.0',
          state: 'serving',
          leaders: 2,
          replicas: 2,
          live: 2,
          ready: true,
        },
      ],
    })
  })

  it('shows its partitions', async () => {
    expect(await ok(['cluster', 'partitions'])).to.match(
      /^default\t0\tfake-1\tfake-1\t\d\t\d\t0\t1\t1\tabc\ndefault\t1\tfake-1\tfake-1\t/,
    )
    expect(await ok(['cluster', 'partitions', '-o', 'table'])).to.match(
      /^KEYSPACE +PARTITION +LEADER +REPLICAS/,
    )
    expect(JSON.parse(await ok(['cluster', 'partitions', '-o', 'json']))).to.have.length(2)
    expect(await ok(['cluster', 'partitions', '--keyspace', 'default'])).to.have.length.above(0)
    expect(await ok(['cluster', 'partitions', '--keyspace', 'other'])).to.equal('')
  })

  it('has nothing to compare in it', async () => {
    expect(await ok(['cluster', 'verify'])).to.equal(
      'default\t0\talone\t-\tfake-1\ndefault\t1\talone\t-\tfake-1\n',
    )
  })

  it('draws one picture after the other where the output is no terminal', async () => {
    const out = await ok(['cluster', 'watch', '--count', '2', '--interval', '1ms', '-o', 'table'])
    expect(out.match(/^cluster fake, memory log .*, \d\d:\d\d:\d\d$/gm)).to.have.length(2)
    expect(await ok(['cluster', 'watch', '--count', '1', '-o', 'jsonl'])).to.match(/^\{"keyspace":"default",/)
  })

  it('teaches with examples, and names what it does not know', async () => {
    for (const command of ['partitions', 'verify', 'watch', 'transfer', 'drain'])
      expect(await ok(['cluster', command, '--help']), command).to.contain('Examples:')
    const ran = await tidemark(['cluster', 'partitons'])
    expect(ran.code).to.equal(2)
    expect(ran.err).to.equal("tidemark: unknown command 'partitons': see tidemark cluster --help\n")
  })
})

describe('tidemark cluster, with several nodes', () => {
  let cluster: FakeCluster
  const tidemark = (args: readonly string[]): Promise<Ran> => run(cluster.node(0).address, args)
  const ok = async (args: readonly string[]): Promise<string> => {
    const ran = await tidemark(args)
    expect(ran.err, args.join(' ')).to.equal('')
    expect(ran.code).to.equal(0)
    return ran.out
  }

  before(async () => {
    cluster = await FakeCluster.start(3, 4, 2)
  })
  after(() => cluster.close())

  it('shows every node and where its partitions are', async () => {
    const nodes = (await ok(['cluster'])).trimEnd().split('\n')
    expect(nodes.map((line) => line.split('\t').slice(0, 5).join(' '))).to.deep.equal([
      `node-0 ${cluster.node(0).address} west 0.0.0 2`,
      `node-1 ${cluster.node(1).address} east 0.0.0 1`,
      `node-2 ${cluster.node(2).address} north 0.0.0 1`,
    ])
    const partitions = (await ok(['cluster', 'partitions'])).trimEnd().split('\n')
    expect(partitions.map((line) => line.split('\t').slice(1, 4).join(' '))).to.deep.equal([
      '0 node-0 node-0 node-1',
      '1 node-1 node-1 node-2',
      '2 node-2 node-0 node-2',
      '3 node-0 node-0 node-1',
    ])
  })

  it('verifies replicas, by name where they are the same', async () => {
    expect(await ok(['cluster', 'verify'])).to.match(/^default\t0\tequal\t\d+\tnode-0 node-1\n/)
  })

  it('moves a leadership and drains a node', async () => {
    expect(await ok(['cluster', 'transfer', 'default', '3', '--to', 'node-1'])).to.equal('node-1\n')
    const json = await ok(['cluster', 'transfer', 'default', '3', '--to', 'node-1', '-o', 'jsonl'])
    expect(JSON.parse(json)).to.deep.equal({ keyspace: 'default', partition: 3, leader: 'node-1' })
    expect((await tidemark(['cluster', 'transfer', 'default', 'x'])).code).to.equal(2)
    await ok(['cluster', 'drain', 'node-2', '--no-wait'])
    expect(cluster.node(2).unaries.at(-1)).to.equal('drain')
    // It stays in the map of these nodes.
    expect(await tidemark(['cluster', 'drain', 'node-2', '--timeout', '300ms'])).to.deep.include({
      code: 6,
      err: 'tidemark: node-2 drains and is still in the map: it finishes what was begun\n',
    })
    const unknown = await tidemark(['cluster', 'drain', 'node-7'])
    expect(unknown.err).to.contain('there is no node node-7; there are node-0, node-1, node-2')
    expect(unknown.code).to.equal(2)
  })

  it('shows a node that does not answer, and does not call its replicas equal', async () => {
    await cluster.node(1).down()
    expect(await ok(['cluster'])).to.match(/\nnode-1\t[^\n]*\tno\tunreachable: /)
    expect(await ok(['cluster', 'partitions'])).to.contain('node-0 node-1:unreachable')
    const ran = await tidemark(['cluster', 'verify'])
    expect(ran.code).to.equal(5)
    expect(ran.err).to.equal('tidemark: replicas of node-1 could not be looked at\n')
    await cluster.node(1).up()
  })
})

describe('tidemark keyspace (command line)', () => {
  let server: FakeServer
  const tidemark = (args: readonly string[]): Promise<Ran> => run(server.address, args)
  const json = async (args: readonly string[]): Promise<unknown> => {
    const ran = await tidemark([...args, '-o', 'json'])
    expect(ran.err, args.join(' ')).to.equal('')
    return JSON.parse(ran.out)
  }

  before(async () => {
    server = await FakeServer.start()
    await tidemark(['keyspace', 'create', 'orders', '--partitions', '3'])
  })
  after(() => server.close())

  it('describes and changes settings, and leaves alone what is not named', async () => {
    expect(await json(['keyspace', 'describe', 'orders'])).to.have.nested.property('[0].partitions', 3)
    const update = ['keyspace', 'update', 'orders']
    const changed = await json([...update, '--default-ttl', '2h', '--replication', '2', '--no-packing'])
    expect(changed).to.have.nested.property('[0].default_ttl_ms', 7_200_000)
    expect(changed).to.have.nested.property('[0].replication', 2)
    expect(changed).to.have.nested.property('[0].packing', false)
    expect((await tidemark([...update, '--default-ttl', '36h'])).out).to.match(/\t36h\n$/)
    expect((await tidemark([...update, '--no-default-ttl'])).out).to.match(/\t-\n$/)
    expect(await tidemark(update)).to.deep.include({
      code: 2,
      err: 'tidemark: name a setting to change: see tidemark keyspace update --help\n',
    })
    expect((await tidemark(['keyspace', 'describe', 'nowhere'])).code).to.equal(3)
  })

  it('deletes only what is named twice', async () => {
    const refusal = 'tidemark: nothing was deleted: say the name again with --confirm orders\n'
    for (const args of [[], ['--confirm', 'order']])
      expect(await tidemark(['keyspace', 'delete', 'orders', ...args])).to.include({ code: 2, err: refusal })
    expect(server.keyspaces.has('orders')).to.equal(true)
    expect(await tidemark(['keyspace', 'delete', 'orders', '--confirm', 'orders'])).to.include({
      code: 0,
      out: '',
    })
    expect(server.keyspaces.has('orders')).to.equal(false)
  })

  it('teaches with examples', async () => {
    await Promise.all(
      ['create', 'list', 'describe', 'update', 'delete'].map(async (command) => {
        expect((await tidemark(['keyspace', command, '--help'])).out, command).to.contain('Examples:')
      }),
    )
  })
})
