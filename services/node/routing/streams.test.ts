/** Scans and watches over several nodes, over real gRPC. */
import { expect } from 'chai'
import { TidemarkError } from '../../../streams/core/errors.ts'
import type { Keyspace, Scan, Watch, WatchMessage, WatchOptions } from '../../../streams/face.ts'
import { type FakeCluster, fakeCluster, inTime, keyIn, p } from './cluster.fake.ts'

const ALL = { start: new Uint8Array(0), end: undefined }

async function failure(promise: Promise<unknown>): Promise<TidemarkError> {
  try {
    await promise
  } catch (caught) {
    return TidemarkError.from(caught)
  }
  throw new Error('it did not fail')
}

async function keysOf({ rows }: Scan): Promise<string[]> {
  const keys: string[] = []
  for await (const chunk of rows) keys.push(...chunk.map(({ key }) => Buffer.from(key).toString()))
  return keys
}

/** Pulls a watch for a test: what came, as text. */
class Seen {
  readonly watch: Watch
  readonly messages: WatchMessage[] = []

  constructor(watch: Watch) {
    this.watch = watch
  }

  async pull(): Promise<WatchMessage> {
    const result = await this.watch.next()
    if (result.done === true) throw new Error('the watch has ended')
    this.messages.push(result.value)
    return result.value
  }

  async until(enough: () => boolean): Promise<void> {
    while (!enough()) await this.pull()
  }

  get events(): string[] {
    return this.messages.flatMap(({ events }) =>
      events.map(
        ({ kind, row }) => `${kind} ${Buffer.from(row.key).toString()}=${Buffer.from(row.value).toString()}`,
      ),
    )
  }

  get marks(): string[] {
    return this.messages.map(({ mark }) => mark)
  }

  get positions(): Map<number, number> {
    return new Map(this.messages.at(-1)?.positions.map(({ partition, offset }) => [partition, offset]))
  }
}

describe('streams over several nodes', () => {
  let cluster: FakeCluster
  let a: Keyspace
  const open: Seen[] = []
  beforeEach(async () => {
    cluster = await fakeCluster(3)
    a = cluster.at(0).rows
    cluster.place([[0], [1, 2], [2], [1]])
  })
  afterEach(async () => {
    for (const { watch } of open.splice(0)) await watch.return?.()
    await cluster.close()
  })

  const put = (key: Buffer, value = 'value'): Promise<unknown> =>
    a.write({ kind: 'put', key, value: Buffer.from(value) }, inTime())
  const watching = async (options: Partial<WatchOptions> = {}): Promise<Seen> => {
    const seen = new Seen(await a.watch({ range: ALL, ...options }))
    open.push(seen)
    return seen
  }

  describe('a scan', () => {
    it('merges all partitions in key order, with one token, one call for each node', async () => {
      const names = Array.from({ length: 40 }, (_, at) => `row-${String(at).padStart(2, '0')}`)
      for (const name of names) await put(Buffer.from(name))
      cluster.asked()
      const scan = await a.scan({ range: ALL, ...inTime() })
      expect(await keysOf(scan)).to.deep.equal(names)
      expect(scan.token.logIdentity).to.equal('fake-log')
      expect(scan.token.positions.map(({ partition }) => partition)).to.have.members([0, 1, 2, 3])
      const asked = cluster.asked()
      expect(asked.flat().every((method) => method === 'scan')).to.equal(true)
      expect(asked.every((methods) => methods.length <= 1)).to.equal(true)
      const reverse = await a.scan({ range: ALL, reverse: true, limit: 7, ...inTime() })
      expect(await keysOf(reverse)).to.deep.equal(names.toReversed().slice(0, 7))
      const range = { start: Buffer.from('row-10'), end: Buffer.from('row-13') }
      expect(await keysOf(await a.scan({ range, ...inTime() }))).to.deep.equal(['row-10', 'row-11', 'row-12'])
      const nothing = { start: new Uint8Array(0), end: new Uint8Array(0) }
      expect(await keysOf(await a.scan({ range: nothing, ...inTime() }))).to.deep.equal([])
    })

    it('asks only the nodes of the partitions that were chosen', async () => {
      await put(keyIn(a, 1))
      await put(keyIn(a, 2))
      cluster.asked()
      const scan = await a.scan({ range: ALL, partitions: [p(2)], ...inTime() })
      expect(await keysOf(scan)).to.deep.equal([keyIn(a, 2).toString()])
      expect(cluster.asked()).to.deep.equal([[], [], ['scan']])
    })

    it('begins at another replica where a node is gone, and says so where none is left', async () => {
      await put(keyIn(a, 1))
      cluster.kill(1)
      const scan = await a.scan({ range: ALL, partitions: [p(1), p(2)], ...inTime() })
      expect(await keysOf(scan)).to.deep.equal([keyIn(a, 1).toString()])
      const error = await failure(a.scan({ range: ALL, ...inTime() }))
      expect(error.reason).to.equal('NODE_UNREACHABLE')
    })

    it('keeps its deadline until it begins', async () => {
      cluster.at(2).door.freeze()
      const error = await failure(a.scan({ range: ALL, ...inTime(300) }))
      expect(error.reason).to.equal('DEADLINE_EXCEEDED')
    })

    it('can be left at once', async () => {
      await put(keyIn(a, 2))
      const scan = await a.scan({ range: ALL, ...inTime() })
      cluster.at(2).door.freeze()
      await scan.rows.return?.()
    })
  })

  describe('a watch', () => {
    it('begins with a mark of all positions, and tells what happens anywhere', async () => {
      const seen = await watching()
      const first = await seen.pull()
      expect(first.mark).to.equal('progress')
      expect(seen.positions).to.deep.equal(
        new Map([
          [0, 0],
          [1, 0],
          [2, 0],
          [3, 0],
        ]),
      )
      for (const at of [0, 1, 2, 3]) await put(keyIn(a, at), `in ${at}`)
      await seen.until(() => seen.events.length === 4)
      expect(seen.events).to.have.members([0, 1, 2, 3].map((at) => `put ${keyIn(a, at).toString()}=in ${at}`))
      expect([...seen.positions.values()]).to.deep.equal([1, 1, 1, 1])
    })

    it('tells the rows of all partitions before its one end of initial rows', async () => {
      for (const at of [0, 1, 2, 3]) await put(keyIn(a, at), `in ${at}`)
      const seen = await watching({ initialRows: true })
      await seen.until(() => seen.marks.includes('initial-end'))
      expect(seen.events).to.have.length(4)
      expect(seen.marks.filter((mark) => mark === 'initial-end')).to.have.length(1)
      expect(seen.messages.slice(0, -1).every(({ positions }) => positions.length === 0)).to.equal(true)
      expect(seen.positions.size).to.equal(4)
      await put(keyIn(a, 3), 'later')
      await seen.until(() => seen.events.length === 5)
      expect(seen.events.at(-1)).to.equal(`put ${keyIn(a, 3).toString()}=later`)
    })

    it('goes on at another replica when its node dies, and nothing is missing or comes twice', async () => {
      const seen = await watching({ partitions: [p(0), p(1)] })
      await seen.pull()
      const key = keyIn(a, 1)
      await put(key, 'one')
      await seen.until(() => seen.events.length === 1)
      const pulling = seen.pull()
      cluster.kill(1)
      await put(key, 'two')
      await pulling
      await put(key, 'three')
      await seen.until(() => seen.events.length >= 3)
      expect(seen.events).to.deep.equal(
        ['one', 'two', 'three'].map((value) => `put ${key.toString()}=${value}`),
      )
      expect(seen.positions.get(1)).to.equal(3)
    })

    it('follows a replica that moves', async () => {
      const seen = await watching({ partitions: [p(2)] })
      await seen.pull()
      const pulling = seen.pull()
      cluster.place([[0], [1, 2], [1], [1]])
      cluster.at(2).local.keyspace('default').wakeWatchers()
      await put(keyIn(a, 2), 'moved')
      await pulling
      await seen.until(() => seen.events.length === 1)
      expect(cluster.at(2).local.watchers).to.equal(0)
    })

    it('of one key asks one node', async () => {
      cluster.asked()
      const key = keyIn(a, 2)
      await watching({ range: { start: key, end: Buffer.concat([key, Buffer.of(0)]) } })
      expect(cluster.asked()).to.deep.equal([[], [], ['watch']])
    })

    it('is refused at once where a node refuses it', async () => {
      cluster.at(2).local.failure = new TidemarkError('COMPACTED', 'gone', { metadata: { earliest: '7' } })
      const error = await failure(a.watch({ range: ALL }))
      expect(error).to.include({ reason: 'COMPACTED', message: 'gone' })
      expect(error.metadata).to.deep.equal({ earliest: '7' })
      while (cluster.at(1).local.watchers > 0) await new Promise((resolve) => setTimeout(resolve, 1))
    })

    it('ends with what its node ends it with', async () => {
      const seen = await watching()
      await seen.pull()
      const pulling = failure(seen.pull())
      cluster.at(2).local.failure = new TidemarkError('COMPACTED', 'gone', { metadata: { earliest: '7' } })
      cluster.at(2).local.keyspace('default').wakeWatchers()
      expect((await pulling).reason).to.equal('COMPACTED')
      expect((await seen.watch.next()).done).to.equal(true)
    })

    it('frees the nodes when it is left', async () => {
      const seen = await watching()
      await seen.pull()
      const pulling = seen.watch.next()
      await seen.watch.return?.()
      expect((await pulling).done).to.equal(true)
      const watchers = (): number => cluster.members.reduce((sum, { local }) => sum + local.watchers, 0)
      while (watchers() > 0) await new Promise((resolve) => setTimeout(resolve, 1))
    })
  })
})
