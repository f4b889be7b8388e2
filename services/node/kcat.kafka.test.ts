/** A stranger with kcat beside a running node: what proto/record.md promises to whoever produces with librdkafka. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { withKafka } from '../../infra/kafka/with-kafka.ts'
import { findKcat } from '../../infra/tools/kcat.ts'
import { type Tidemark, connect } from '../client/index.ts'
import { type NodeProcess, startNode } from './process.fixture.ts'

const PARTITIONS = 4
/** librdkafka's own default would be CRC-32. */
const MURMUR2 = ['-X', 'topic.partitioner=murmur2_random']

/** Where a record landed, as the ack told kcat. */
interface Place {
  readonly partition: number
  readonly offset: number
}

describe('kcat beside a node on Kafka', function () {
  this.timeout(120_000)
  const kafka = withKafka()
  let kcat: string
  let directory: string
  let topic: string
  let node: NodeProcess
  let db: Tidemark

  before(async function () {
    const found = await findKcat()
    if (found === undefined) {
      if ((process.env['CI'] ?? '') !== '')
        throw new Error('CI has no kcat: infra/tools/install.sh installs it')
      console.warn('SKIPPED for want of kcat (Debian package kcat): what it produces is not tested')
      this.skip()
    }
    kcat = found
    const cluster = kafka.freshName('kcat')
    topic = `${cluster}.default`
    directory = await mkdtemp(join(tmpdir(), 'tidemark-kcat-'))
    node = await startNode({
      TIDEMARK_LOG: 'kafka',
      TIDEMARK_KAFKA_BROKERS: kafka.bootstrap.join(','),
      TIDEMARK_CLUSTER: cluster,
      TIDEMARK_DATA_DIR: directory,
      TIDEMARK_PARTITIONS: String(PARTITIONS),
      TIDEMARK_DEV: '1',
    })
    db = connect({ server: node.address })
  })
  after(async () => {
    await db?.close()
    await node?.end('SIGTERM')
    if (directory !== undefined) await rm(directory, { recursive: true, force: true })
  })

  /** One record for each line, `key:value`. @returns where each landed; of one partition in the order of the lines. */
  const produce = async (lines: readonly string[], ...more: readonly string[]): Promise<Place[]> => {
    const args = ['-P', '-b', kafka.bootstrap.join(','), '-t', topic, '-K', ':', '-vv', ...more]
    const child = spawn(kcat, args, { stdio: ['pipe', 'ignore', 'pipe'] })
    child.stdin.end(lines.map((line) => `${line}\n`).join(''))
    const [said] = await Promise.all([text(child.stderr), once(child, 'exit')])
    expect(child.exitCode, said).to.equal(0)
    const places = [...said.matchAll(/delivered to partition (\d+) \(offset (\d+)\)/g)].map(
      ([, partition, offset]) => ({ partition: Number(partition), offset: Number(offset) }),
    )
    expect(places, said).to.have.length(lines.length)
    return places
  }
  /** Of one record. */
  const produceOne = async (line: string, ...more: readonly string[]): Promise<Place> => {
    const [place] = await produce([line], ...more)
    if (place === undefined) throw new Error('no place')
    return place
  }
  const verdictOf = async ({ partition, offset }: Place): Promise<string> => {
    const { outcomes } = await db.outcome(partition, offset)
    return outcomes.map(({ applied, reason }) => (applied ? 'applied' : reason)).join()
  }
  const header = (name: string, value: string): readonly string[] => ['-H', `${name}=${value}`]

  it('puts rows that gRPC reads at once, wherever their keys belong, in any compression', async () => {
    for (const codec of [[], ['-z', 'gzip'], ['-z', 'snappy'], ['-z', 'lz4'], ['-z', 'zstd']]) {
      const name = codec[1] ?? 'plain'
      const keys = Array.from({ length: 40 }, (_, n) => `${name}/${n}`)
      const places = await produce(
        keys.map((key) => `${key}:value of ${key}`),
        ...MURMUR2,
        ...codec,
      )
      expect(new Set(places.map(({ partition }) => partition)).size).to.equal(PARTITIONS)
      const rows = await db.getMany(keys)
      expect(rows.map((row) => row?.text())).to.deep.equal(keys.map((key) => `value of ${key}`))
      const offsets = new Set(places.map(({ partition, offset }) => `${partition}/${offset}`))
      expect(offsets.size, 'each its own place').to.equal(keys.length)
    }
  })

  it('reads its own write with the offset of the ack', async () => {
    const place = await produceOne('own:write', ...MURMUR2)
    db.observe({ keyspace: 'default', ...place })
    const row = await db.get('own', { consistency: 'session' })
    expect([row?.text(), row?.version]).to.deep.equal(['write', place.offset])
  })

  it('is in a cut when its ack came before, and not when it began after', async () => {
    const keys = Array.from({ length: 20 }, (_, n) => `cut/${n}`)
    await produce(
      keys.map((key) => `${key}:before`),
      ...MURMUR2,
    )
    const cut = await db.keyspaces.cut({ name: 'beside-kcat', keyspaces: ['default'] })
    await produce(
      keys.map((key) => `${key}:after`),
      ...MURMUR2,
    )
    const rows = await db.getMany(keys, { asOf: cut.token })
    expect(rows.map((row) => row?.text())).to.deep.equal(keys.map(() => 'before'))
    // A stranger may repeat the barrier of the cut, which changes nothing: the first one stands.
    const begin = cut.positions[0]?.offset ?? -1
    const again = await produceOne(
      ':',
      ...['-p', '0'],
      ...header('tm-op', 'txn'),
      ...header('tm-request-id', 'cut:beside-kcat'),
    )
    const { outcomes } = await db.outcome(again.partition, again.offset)
    expect(outcomes.map(({ applied, duplicate }) => [applied, duplicate])).to.deep.equal([[true, true]])
    const same = await db.keyspaces.cut({ name: 'beside-kcat', keyspaces: ['default'] })
    expect([same.token, same.positions[0]?.offset]).to.deep.equal([cut.token, begin])
  })

  it('deletes with a null value, and is seen by watchers', async () => {
    await produceOne('gone:soon', ...MURMUR2)
    expect((await db.get('gone'))?.text()).to.equal('soon')
    const seen: string[] = []
    const watch = db.watch({ key: 'gone' })
    const watching = (async () => {
      for await (const { type } of watch) {
        seen.push(type)
        if (type === 'deleted') return
      }
    })()
    await watch.started
    await produceOne('gone:once more', ...MURMUR2)
    await produceOne('gone:', '-Z', ...MURMUR2)
    await watching
    expect(seen).to.deep.equal(['put', 'deleted'])
    expect(await db.get('gone')).to.equal(undefined)
    await produceOne('empty:', ...MURMUR2)
    expect((await db.get('empty'))?.text(), 'without -Z an empty value is a value').to.equal('')
  })

  it('writes by headers: increments, conditions, times to live, content types, request ids', async () => {
    const first = await produceOne('visits:5', ...MURMUR2, ...header('tm-op', 'increment'))
    await produceOne('visits:-2', ...MURMUR2, ...header('tm-op', 'increment'))
    expect((await db.get('visits'))?.text()).to.equal('3')
    const stale = await produceOne('visits:9', ...MURMUR2, ...header('tm-if-version', String(first.offset)))
    expect(await verdictOf(stale)).to.equal('VERSION_MISMATCH')
    const fresh = await produceOne('once:only', ...MURMUR2, ...header('tm-if-version', '0'))
    const again = await produceOne('once:again', ...MURMUR2, ...header('tm-if-version', '0'))
    expect([await verdictOf(fresh), await verdictOf(again)]).to.deep.equal(['applied', 'VERSION_MISMATCH'])
    await produceOne(
      'page:{}',
      ...MURMUR2,
      ...header('content-type', 'application/json'),
      ...header('tm-ttl-ms', '3600000'),
    )
    const page = await db.get('page')
    expect(page?.contentType).to.equal('application/json')
    expect(page?.expiresAtMs ?? 0).to.be.greaterThan(Date.now())
    const op = [...header('tm-op', 'increment'), ...header('tm-request-id', 'shell/1')]
    for (let times = 0; times < 3; times++) await produceOne('counted:1', ...MURMUR2, ...op)
    expect((await db.get('counted'))?.text()).to.equal('1')
    await produceOne('brief:x', ...MURMUR2, ...header('tm-ttl-ms', '1'))
    await produceOne('brief-too:x', ...MURMUR2, ...header('tm-ttl-ms', '1'))
    while ((await db.get('brief')) !== undefined || (await db.get('brief-too')) !== undefined);
  })

  it('is told by position what was wrong with its rubbish, and stalls nothing', async () => {
    await produceOne('word:text', ...MURMUR2)
    const rubbish: readonly (readonly [string, string, readonly string[]])[] = [
      ['UNKNOWN_OPERATION', 'a:x', header('tm-op', 'merge')],
      ['RECORD_MALFORMED', 'a:x', header('tm-colour', 'blue')],
      ['RECORD_MALFORMED', 'a:x', header('tm-if-version', '01')],
      ['RECORD_MALFORMED', 'a:x', header('tm-op', 'delete')],
      ['RECORD_MALFORMED', 'a:', ['-Z', ...header('tm-op', 'put')]],
      ['RECORD_MALFORMED', 'a:no protobuf', header('tm-op', 'pack')],
      ['RECORD_MALFORMED', 'a:', [...header('tm-op', 'txn'), ...header('tm-ttl-ms', '5')]],
      ['TTL_INVALID', 'a:x', header('tm-ttl-ms', '-5')],
      ['REQUEST_ID_INVALID', 'a:x', header('tm-request-id', 'x'.repeat(65))],
      ['NOT_A_NUMBER', 'a:1.5', header('tm-op', 'increment')],
      ['NOT_A_NUMBER', 'word:1', header('tm-op', 'increment')],
      ['STALE_EPOCH', 'a:', [...header('tm-op', 'tick'), ...header('tm-epoch', '999999')]],
      ['KEY_TOO_LONG', `${'k'.repeat(4097)}:x`, []],
      ['KEY_EMPTY', ':x', []],
    ]
    for (const [reason, line, more] of rubbish) {
      const place = await produceOne(line, ...MURMUR2, ...more)
      expect(await verdictOf(place), `${line.slice(0, 20)} ${more.join(' ')}`).to.equal(reason)
    }
    const { replicas } = await db.describe()
    expect(replicas.every(({ state }) => state === 'live')).to.equal(true)
    expect(replicas.reduce((sum, { rejected }) => sum + rejected, 0)).to.be.at.least(rubbish.length)
    await produceOne('after:rubbish', ...MURMUR2)
    expect((await db.get('after'))?.text()).to.equal('rubbish')
  })

  it('is told that its keys are misplaced when it forgets the partitioner, and those alone are rejected', async () => {
    const keys = Array.from({ length: 40 }, (_, n) => `crc/${n}`)
    const verdicts = new Map<string, number>()
    for (const place of await produce(keys.map((key) => `${key}:v`))) {
      const verdict = await verdictOf(place)
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1)
    }
    expect([...verdicts.keys()]).to.have.members(['applied', 'MISPLACED_KEY'])
    const rows = await db.getMany(keys)
    expect(rows.filter((row) => row !== undefined)).to.have.length(verdicts.get('applied') ?? 0)
  })
})
