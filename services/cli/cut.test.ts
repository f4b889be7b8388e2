/** A cut from the command line, on a real node with the embedded log. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type NodeProcess, startNode } from '../node/process.fixture.ts'
import { run, type Ran } from './run.fake.ts'

describe('tidemark cut', function () {
  this.timeout(60_000)
  let folder: string
  let node: NodeProcess
  const tidemark = (args: readonly string[]): Promise<Ran> => run(node.address, args)
  const ok = async (...args: readonly string[]): Promise<string> => {
    const ran = await tidemark(args)
    expect(ran.code, `${args.join(' ')}: ${ran.err}`).to.equal(0)
    return ran.out
  }
  const start = (): Promise<NodeProcess> =>
    startNode({ TIDEMARK_DATA_DIR: join(folder, 'data'), TIDEMARK_PARTITIONS: '3' })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-cut-'))
    node = await start()
  })
  after(async () => {
    await node.end('SIGTERM')
    await rm(folder, { recursive: true })
  })

  it('prints a token, and reads as of it show what stood then, through a restart too', async () => {
    for (const [key, value] of [
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
    ] as const)
      await ok('put', key, value)
    const token = (await ok('cut', '--name', 'first')).trim()
    await ok('put', 'a', 'later')
    await ok('del', 'b')
    await ok('put', 'd', 'later')
    const stood = 'a\t1\nb\t2\nc\t3\n'
    expect(await ok('scan', '--as-of', token)).to.equal(stood)
    expect(await ok('scan')).to.equal('a\tlater\nc\t3\nd\tlater\n')
    await node.end('SIGKILL')
    node = await start()
    expect(await ok('scan', '--as-of', token)).to.equal(stood)
    expect(await ok('get', 'b', '--as-of', token)).to.equal('2')
    expect((await tidemark(['get', 'd', '--as-of', token])).code).to.equal(3)
    expect(await ok('get', 'a', 'b', 'd', '--as-of', token, '-o', 'jsonl')).to.include('"value":"2"')
    const file = join(folder, 'rows.jsonl')
    expect(await ok('export', '--as-of', token, file)).to.equal(`exported 3 rows to ${file}\n`)
    expect(await readFile(file, 'utf8')).to.equal(
      '{"key":"a","value":"1"}\n{"key":"b","value":"2"}\n{"key":"c","value":"3"}\n',
    )
    const again = await tidemark(['cut', '--name', 'first'])
    expect(again.out.trim()).to.equal(token)
    expect(again.err).to.include('the name first was used before')
  })

  it('shows its positions and their log times', async () => {
    const json = JSON.parse(await ok('cut', '--all', '-o', 'json')) as {
      name: string
      repeated_name: boolean
      positions: { keyspace: string; partition: number; offset: number; time: string }[]
    }
    expect([json.repeated_name, json.name.length]).to.deep.equal([false, 24])
    expect(json.positions.map(({ keyspace, partition }) => `${keyspace}/${partition}`)).to.deep.equal([
      'default/0',
      'default/1',
      'default/2',
    ])
    for (const { time } of json.positions) expect(Math.abs(Date.parse(time) - Date.now())).to.be.below(60_000)
    expect(await ok('cut', '-o', 'table')).to.match(
      /^KEYSPACE +PARTITION +OFFSET +LOG TIME\n(default .*\n){3}cut /,
    )
  })

  it('says what is wrong with a name or a token', async () => {
    const refused = async (...args: readonly string[]): Promise<string> => {
      const ran = await tidemark(args)
      expect(ran.code, args.join(' ')).to.not.equal(0)
      return ran.err
    }
    expect(await refused('cut', '--name', 'x'.repeat(41))).to.include('it has 41 characters, the limit is 40')
    expect(await refused('cut', '--keyspace', 'nowhere')).to.include('nowhere')
    expect(await refused('scan', '--as-of', 'nonsense!')).to.include('this is no token of Tidemark')
    await ok('keyspace', 'create', 'second', '--partitions', '1')
    const token = (await ok('cut')).trim()
    expect(await refused('scan', '--keyspace', 'second', '--as-of', token)).to.include(
      'the token has no position of keyspace second',
    )
  })
})
