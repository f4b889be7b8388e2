import { expect } from 'chai'
import { TidemarkError } from '../../../streams/core/errors.ts'
import { ROUTE_ATTEMPT_MS } from '../../../streams/core/limits.ts'
import type { Mutation } from '../../../streams/core/mutation.ts'
import { offset } from '../../../streams/core/types.ts'
import type { Keyspace, TransactionReads } from '../../../streams/face.ts'
import { type FakeCluster, fakeCluster, inTime, keyIn, p } from './cluster.fake.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const put = (key: Buffer, value = 'value', more: Partial<Mutation> = {}): Mutation =>
  ({ kind: 'put', key, value: bytes(value), ...more }) as Mutation

async function failure(promise: Promise<unknown>): Promise<TidemarkError> {
  try {
    await promise
  } catch (caught) {
    expect(caught).to.be.instanceOf(TidemarkError)
    return caught as TidemarkError
  }
  throw new Error('it did not fail')
}

describe('a routed node', () => {
  let cluster: FakeCluster
  let a: Keyspace
  let b: Keyspace
  beforeEach(async () => {
    cluster = await fakeCluster(3)
    a = cluster.at(0).rows
    b = cluster.at(1).rows
    // Partition 0 on a and b, 1 on b and c, 2 on c alone, 3 on all.
    cluster.place([[0, 1], [1, 2], [2], [0, 1, 2]])
    cluster.asked()
  })
  afterEach(() => cluster.close())

  it('answers from its own replica where it has one', async () => {
    await a.write(put(keyIn(a, 0)), inTime())
    await a.get(keyIn(a, 3), inTime())
    expect(cluster.asked()).to.deep.equal([['write', 'get'], [], []])
  })

  it('writes to the leader and reads from a replica where it has none', async () => {
    const key = keyIn(a, 1)
    const written = await a.write(put(key, 'far'), inTime())
    expect(written).to.include({ partition: 1, offset: 1 })
    expect(written.outcome).to.include({ status: 'applied', version: 1, duplicate: false })
    expect(await valueAt(a, key)).to.equal('far')
    const [own, leader, other] = cluster.asked()
    expect(own).to.deep.equal([])
    expect(leader).to.include('write')
    expect([...(leader ?? []), ...(other ?? [])]).to.have.members(['write', 'getMany'])
  })

  it('shows a session on one node what was written on another', async () => {
    const key = keyIn(a, 2)
    const { offset: seen, partition } = await a.write(put(key, 'mine'), inTime())
    const token = { logIdentity: 'fake-log', positions: [{ keyspace: 'default', partition, offset: seen }] }
    const read = await b.get(key, { ...inTime(), consistency: 'session', token })
    expect(read).to.include({ partition: 2, applied: seen, consistency: 'session' })
    expect(read.row?.value.toString()).to.equal('mine')
    const ahead = { ...token, positions: [{ keyspace: 'default', partition, offset: offset(seen + 1) }] }
    const late = await failure(b.get(key, { ...inTime(150), consistency: 'session', token: ahead }))
    expect(late.reason).to.equal('DEADLINE_EXCEEDED')
  })

  it('never lets a request go further than one hop', async () => {
    const key = keyIn(a, 2)
    // a believes that b has it, b knows that c has it.
    cluster.tell(0, [[0, 1], [1, 2], [1], [0, 1, 2]])
    const error = await failure(a.get(key, inTime()))
    expect(error.reason).to.equal('PARTITION_ELSEWHERE')
    expect(error.retriable).to.equal(true)
    const [own, asked, far] = cluster.asked()
    expect(own).to.deep.equal([])
    expect(asked).to.have.length.greaterThan(0)
    expect(far).to.deep.equal([])
  })

  it('goes to the right node as soon as the map says so, inside one call', async () => {
    cluster.tell(0, [[0, 1], [1, 2], [1], [0, 1, 2]])
    const reading = a.get(keyIn(a, 2), inTime())
    cluster.tell(0, [[0, 1], [1, 2], [2], [0, 1, 2]])
    expect((await reading).partition).to.equal(2)
  })

  it('says that nobody has a partition', async () => {
    cluster.place([[0, 1], [1, 2], [], [0, 1, 2]])
    const error = await failure(a.get(keyIn(a, 2), inTime()))
    expect(error.reason).to.equal('PARTITION_ELSEWHERE')
  })

  describe('where a node fails', () => {
    it('reads and writes at another replica', async () => {
      const key = keyIn(a, 1)
      await a.write(put(key, 'before'), inTime())
      cluster.kill(1)
      expect(await valueAt(a, key)).to.equal('before')
      const written = await a.write(put(key, 'after'), inTime())
      expect(written.outcome?.status).to.equal('applied')
      const other = cluster.at(2).nodeId
      expect(written.answeredBy, 'who answered is told').to.equal(other)
      expect((await a.get(key, inTime())).answeredBy).to.equal(other)
      expect((await a.get(keyIn(a, 0), inTime())).answeredBy, 'itself').to.equal(undefined)
      expect(await valueAt(a, key)).to.equal('after')
    })

    it('applies a write once that was cut off in the middle', async () => {
      const key = keyIn(a, 1)
      const { local } = cluster.at(1)
      local.holding = true
      const writing = a.write({ kind: 'increment', key, delta: 5n }, inTime())
      while (local.written.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      const [first] = local.written
      cluster.kill(1)
      const { outcome } = await writing
      expect(outcome).to.include({ status: 'applied', number: 5n })
      const [second] = cluster.at(2).local.written
      expect(first?.requestId).to.match(/^[\w-]{12}\.0\/0$/)
      expect(second?.requestId).to.equal(first?.requestId)
      local.release()
      expect(await valueAt(a, key)).to.equal('5')
    })

    it('keeps the request id that a write came with', async () => {
      await a.write(put(keyIn(a, 1), 'x', { requestId: 'mine/7' }), inTime())
      expect(cluster.at(1).local.written.map(({ requestId }) => requestId)).to.deep.equal(['mine/7'])
    })

    it('asks others for many rows when its own replicas only wait, and leaves time for that', async () => {
      cluster.place([
        [0, 1],
        [0, 1],
        [0, 2],
        [0, 2],
      ])
      const { local } = cluster.at(0)
      const late = new TidemarkError('DEADLINE_EXCEEDED', 'it waited for the log')
      local.keyspace('default').getMany = async (_, { deadline }) => {
        await new Promise((resolve) => setTimeout(resolve, deadline - Date.now()))
        throw late
      }
      const began = Date.now()
      expect((await a.getMany([keyIn(a, 0), keyIn(a, 2)], inTime(10_000))).rows).to.have.length(2)
      expect(Date.now() - began).to.be.within(ROUTE_ATTEMPT_MS - 50, 2 * ROUTE_ATTEMPT_MS)
      // Where there is no time for that it has all there is.
      expect((await failure(a.getMany([keyIn(a, 0)], inTime(100)))).reason).to.equal('DEADLINE_EXCEEDED')
    })

    it('asks others in place of its own replica when that has stopped', async () => {
      const key = keyIn(a, 0)
      cluster.at(0).local.failure = new TidemarkError('PARTITION_STOPPED', 'the log is trimmed')
      expect((await a.get(key, inTime())).partition).to.equal(0)
      expect((await a.getMany([key], inTime())).rows).to.have.length(1)
      // Whether the own replica wrote it is unknown: only with a request id may another.
      expect((await failure(a.write(put(key), inTime()))).reason).to.equal('PARTITION_STOPPED')
      const written = await a.write(put(key, 'x', { requestId: 'mine/1' }), inTime())
      expect(written.outcome?.status).to.equal('applied')
    })

    it('keeps the deadline where peers accept and never answer', async () => {
      cluster.at(1).door.freeze()
      cluster.at(2).door.freeze()
      const began = Date.now()
      const late = await failure(a.get(keyIn(a, 2), inTime(300)))
      expect(late.reason).to.equal('DEADLINE_EXCEEDED')
      expect(Date.now() - began).to.be.within(290, 1500)
    })

    it('leaves a peer that accepts and never answers for another one, and asks it last for a while', async () => {
      cluster.at(1).door.freeze()
      const written = await a.write(put(keyIn(a, 1)), inTime(10_000))
      expect(written.outcome?.status).to.equal('applied')
      const soon = Date.now()
      await a.write(put(keyIn(a, 1)), inTime())
      expect(Date.now() - soon).to.be.below(ROUTE_ATTEMPT_MS / 2)
    })
  })

  it('splits a batch by node, one call for each, and merges it in order', async () => {
    const keys = [0, 2, 1, 3, 2].map((at, order) => keyIn(a, at, `k${order}`))
    for (const key of keys.slice(0, 4)) await a.write(put(key, `value of ${key.toString()}`), inTime())
    cluster.asked()
    const read = await a.getMany(keys, inTime())
    expect(read.rows.map((row) => row && Buffer.from(row.value).toString())).to.deep.equal([
      ...keys.slice(0, 4).map((key) => `value of ${key.toString()}`),
      undefined,
    ])
    expect(read.provenance.map(({ partition }) => partition)).to.have.members([0, 1, 2, 3])
    expect(read.provenance.find(({ partition }) => partition === 2)).to.include({ applied: 1 })
    const asked = cluster.asked()
    expect(asked.flat().filter((method) => method === 'getMany')).to.have.length.within(2, 3)
    expect(asked.every((methods) => methods.length <= 1)).to.equal(true)
  })

  it('answers and fails as the node itself does', async () => {
    const key = keyIn(a, 2)
    const near = cluster.at(2).rows
    const reads: TransactionReads = {
      thenReads: [
        { key: keyIn(a, 2, 'other'), when: 'after' },
        { key, when: 'before' },
      ],
      elseReads: [{ key, when: 'after' }],
    }
    const mutations: Mutation[] = [
      put(key, 'first', { contentType: 'text/plain', ttlMs: 60_000 }),
      put(key, 'second', { ifVersion: offset(99) }),
      put(key, 'third', { ifVersion: offset(0) }),
      { kind: 'increment', key, delta: 3n },
      { kind: 'increment', key: keyIn(a, 2, 'number'), delta: -3n },
      { kind: 'delete', key: keyIn(a, 2, 'number') },
      {
        kind: 'txn',
        compares: [{ key, operator: 'greater', target: 'version', version: offset(0) }],
        thenChanges: [{ kind: 'put', key, value: bytes('fourth') }],
        elseChanges: [],
      },
      {
        kind: 'txn',
        compares: [{ key, operator: 'equal', target: 'value', value: bytes('never') }],
        thenChanges: [],
        elseChanges: [{ kind: 'delete', key: keyIn(a, 2, 'other') }],
      },
    ]
    for (const mutation of mutations) {
      const options = { ...inTime(), durability: 'applied' as const }
      const there = await near.write(mutation, options, mutation.kind === 'txn' ? reads : undefined)
      const here = await a.write(mutation, options, mutation.kind === 'txn' ? reads : undefined)
      const kind = JSON.stringify(mutation.kind)
      expect(here.outcome?.status, kind).to.equal(there.outcome?.status)
      expect(Object.keys(here.outcome ?? {}), kind).to.have.members(Object.keys(there.outcome ?? {}))
      expect(here.offset, kind).to.equal(there.offset + 1)
      expect(here.reads.length, kind).to.equal(there.reads.length)
      expect(here.logEnd, kind).to.equal(here.offset + 1)
    }
    const logged = await a.write(put(key, 'last'), { ...inTime(), durability: 'logged' })
    expect(logged.outcome).to.equal(undefined)
    const at = offset(logged.offset - 3)
    expect(await plain(a.get(key, inTime()))).to.deep.equal(await plain(near.get(key, inTime())))
    expect(await plain(a.getAt(key, at, inTime()))).to.deep.equal(await plain(near.getAt(key, at, inTime())))
    expect(await plain(a.history(key, 0, inTime()))).to.deep.equal(
      await plain(near.history(key, 0, inTime())),
    )
    const { deadline } = inTime()
    expect(await plain(a.outcome(p(2), at, deadline))).to.deep.equal(
      await plain(near.outcome(p(2), at, deadline)),
    )

    const wrongs: ((rows: Keyspace) => Promise<unknown>)[] = [
      (rows) => rows.write(put(bytes('')), inTime()),
      (rows) => rows.write(put(key, 'x', { ttlMs: 0 }), inTime()),
      (rows) => rows.get(Buffer.alloc(5000), inTime()),
      (rows) => rows.outcome(p(2), offset(9999), deadline),
      (rows) => rows.outcome(p(9), offset(0), deadline),
      (rows) => rows.get(key, { ...inTime(), token: { logIdentity: 'another', positions: [] } }),
    ]
    for (const wrong of wrongs) {
      const [here, there] = [await failure(wrong(a)), await failure(wrong(near))]
      expect([here.reason, here.message, here.metadata]).to.deep.equal([
        there.reason,
        there.message,
        there.metadata,
      ])
    }
  })

  it('sends the moving of a leadership to the leader', async () => {
    expect(await cluster.at(0).routed.transferLeadership('default', p(1), 'c')).to.equal('c')
    expect(cluster.at(1).local.transferred).to.deep.equal(['default/1/c'])
    expect(await cluster.at(0).routed.transferLeadership('default', p(0), 'b')).to.equal('b')
    expect(cluster.at(0).local.transferred).to.deep.equal(['default/0/b'])
  })

  it('carries the trace context along', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    await a.write(put(keyIn(a, 2), 'x', { traceparent }), inTime())
    expect(cluster.at(2).local.written[0]).to.include({ traceparent })
  })
})

const valueAt = async (rows: Keyspace, key: Buffer): Promise<string | undefined> => {
  const { row } = await rows.get(key, inTime())
  return row === undefined ? undefined : Buffer.from(row.value).toString()
}

/** Rows and offsets without the classes and views that carry them. */
const plain = async (answer: Promise<unknown>): Promise<unknown> =>
  JSON.parse(
    JSON.stringify(await answer, (name, value: unknown) => {
      if (name === 'answeredBy') return undefined
      if (value instanceof Uint8Array) return [...value]
      if (typeof value === 'object' && value !== null && 'data' in value) return value.data
      return typeof value === 'bigint' ? String(value) : value
    }),
  )
