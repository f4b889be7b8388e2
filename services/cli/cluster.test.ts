import { expect } from 'chai'
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
    for (const command of ['partitions', 'verify', 'watch'])
      expect(await ok(['cluster', command, '--help']), command).to.contain('Examples:')
    const ran = await tidemark(['cluster', 'partitons'])
    expect(ran.code).to.equal(2)
    expect(ran.err).to.equal("tidemark: unknown command 'partitons': see tidemark cluster --help\n")
  })
})
