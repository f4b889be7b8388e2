import { expect } from 'chai'
import { CLIENT_IN_FLIGHT_MAX, KEY_BYTES_MAX } from '../../streams/core/limits.ts'
import { connect, TidemarkError, type Tidemark } from './index.ts'
import { FakeServer } from './server.fake.ts'

/** The error that a promise must end with. */
export async function failureOf(promise: Promise<unknown>): Promise<TidemarkError> {
  try {
    await promise
  } catch (error) {
    expect(error).to.be.instanceOf(TidemarkError)
    return error as TidemarkError
  }
  return expect.fail('it succeeded')
}

describe('client', () => {
  let server: FakeServer
  let db: Tidemark

  beforeEach(async () => {
    server = await FakeServer.start()
    db = connect({ server: server.address, deadlineMs: 5000 })
  })
  afterEach(async () => {
    await db.close()
    await server.close()
  })

  const put = async (keys: readonly string[]): Promise<void> => {
    await Promise.all(keys.map((key) => db.put(key, `value of ${key}`)))
  }
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
  }

  describe('operations', () => {
    it('writes and reads a row, with text, JSON and bytes', async () => {
      const written = await db.put('a', '{"x":1}', { contentType: 'application/json', ttlMs: 5000 })
      expect(written.version).to.equal(1)
      const row = await db.get('a')
      expect(row?.keyText()).to.equal('a')
      expect(row?.json()).to.deep.equal({ x: 1 })
      expect(row?.contentType).to.equal('application/json')
      expect(row?.expiresAtMs).to.be.greaterThan(0)
      const bytes = Uint8Array.of(0, 255, 128)
      await db.put(bytes, bytes)
      expect(Uint8Array.from((await db.get(bytes))?.value ?? [])).to.deep.equal(bytes)
    })

    it('tells a missing row from an empty one', async () => {
      await db.put('empty', '')
      expect(await db.get('nothing')).to.equal(undefined)
      expect((await db.get('empty'))?.text()).to.equal('')
    })

    it('fails a condition with VERSION_MISMATCH and the version found', async () => {
      const { version = -1 } = await db.put('a', '1', { ifVersion: 0 })
      const failure = await failureOf(db.put('a', '2', { ifVersion: 0 }))
      expect(failure.reason).to.equal('VERSION_MISMATCH')
      expect(failure.metadata['version']).to.equal(String(version))
      expect((await db.put('a', '3', { ifVersion: version })).version).to.be.greaterThan(version)
    })

    it('deletes, increments past 2^53 and transacts', async () => {
      await put(['a'])
      await db.delete('a')
      expect(await db.get('a')).to.equal(undefined)
      expect((await db.increment('n', 9007199254740993n)).number).to.equal(9007199254740993n)
      expect((await db.increment('n', -3)).number).to.equal(9007199254740990n)
      const done = await db.transact({
        if: [
          { key: 'n', exists: true },
          { key: 'n', value: '9007199254740990' },
        ],
        then: [{ get: 'n' }, { put: 'm', value: 'yes' }],
        else: [{ put: 'm', value: 'no' }],
      })
      expect(done.succeeded).to.equal(true)
      expect(done.rows.map((row) => row?.text())).to.deep.equal(['9007199254740990', undefined])
      expect(
        (await db.transact({ if: [{ key: 'm', version: 0 }], else: [{ get: 'm' }] })).rows[0]?.text(),
      ).to.equal('yes')
    })

    it('aligns getMany with its keys, missing and repeated ones too', async () => {
      await put(['a', 'c'])
      const rows = await db.getMany(['c', 'b', 'a', 'a', 'z'])
      expect(rows.map((row) => row?.keyText())).to.deep.equal(['c', undefined, 'a', 'a', undefined])
    })

    it('lists and creates keyspaces, describes the cluster, tells outcomes and history', async () => {
      await db.keyspaces.create('other', { partitions: 3 })
      expect((await db.keyspaces.list()).map(({ name }) => name)).to.deep.equal(['default', 'other'])
      await db.keyspace('other').put('a', 'in other')
      expect(await db.get('a')).to.equal(undefined)
      expect((await db.keyspace('other').get('a'))?.text()).to.equal('in other')
      expect((await db.describe()).replicas[0]?.state).to.equal('live')
      expect((await db.outcome(0, 7)).outcomes[0]?.applied).to.equal(true)
      await db.put('h', '1')
      await db.delete('h')
      expect((await db.history('h')).versions.map(({ type }) => type)).to.deep.equal(['deleted', 'put'])
    })

    it('refuses what cannot be right before sending it', async () => {
      expect((await failureOf(db.put('', 'x'))).reason).to.equal('KEY_EMPTY')
      expect((await failureOf(db.get('k'.repeat(KEY_BYTES_MAX + 1)))).reason).to.equal('KEY_TOO_LONG')
      expect((await failureOf(db.put('a', 'x', { ttlMs: 0 }))).reason).to.equal('TTL_INVALID')
      expect((await failureOf(db.put('a', 'x', { ifVersion: -1 }))).reason).to.equal('FIELD_INVALID')
      expect((await failureOf(db.increment('a', 1n << 63n))).reason).to.equal('FIELD_INVALID')
      expect((await failureOf(db.increment('a', 0.5))).reason).to.equal('FIELD_INVALID')
      expect((await failureOf(db.get('a', { deadlineMs: 0 }))).reason).to.equal('FIELD_INVALID')
      expect((await failureOf(db.transact({}))).reason).to.equal('FIELD_INVALID')
      expect(server.arrivals).to.deep.equal([])
    })

    it('gives the reason of an ErrorInfo', async () => {
      const failure = await failureOf(db.keyspace('nowhere').put('a', 'b'))
      expect(failure.reason).to.equal('KEYSPACE_NOT_FOUND')
      server.failures.push(new TidemarkError('COMPACTED', 'gone', { metadata: { earliest: '7' } }))
      const compacted = await failureOf(db.history('a'))
      expect([compacted.reason, compacted.message, compacted.metadata['earliest']]).to.deep.equal([
        'COMPACTED',
        'gone',
        '7',
      ])
    })
  })

  describe('batching', () => {
    it('puts the calls of one turn into one frame, and answers each', async () => {
      const versions = await Promise.all(Array.from({ length: 200 }, (_, n) => db.put(`k${n}`, 'v')))
      expect(new Set(versions.map(({ partition, version }) => `${partition}:${version}`)).size).to.equal(200)
      expect(server.frames).to.deep.equal([200])
    })

    it('mixes reads and writes, and keeps keyspaces and promises apart', async () => {
      await db.keyspaces.create('other')
      await Promise.all([
        db.put('a', '1'),
        db.get('a'),
        db.keyspace('other').put('a', '1'),
        db.get('a', { consistency: 'eventual' }),
        db.get('a', { consistency: 'linearizable' }),
      ])
      expect(server.frames).to.deep.equal([2, 1, 1, 1])
    })

    it('has no more in flight than its bound, in order', async () => {
      server.delayMs = 50
      const keys = Array.from({ length: 3 * CLIENT_IN_FLIGHT_MAX }, (_, n) => `k${n}`)
      const all = put(keys)
      await until(() => server.frames.length > 0)
      expect(server.frames).to.deep.equal([CLIENT_IN_FLIGHT_MAX])
      await all
      expect(server.arrivals.map(({ key }) => key)).to.deep.equal(keys)
    })

    it('spreads keys over connections, the same key on the same one', async () => {
      const wide = connect({ server: server.address, connections: 3 })
      await Promise.all(Array.from({ length: 300 }, (_, n) => wide.put(`k${n % 100}`, String(n))))
      await wide.close()
      const sessions = new Map<string, Set<string>>()
      for (const { key, requestId } of server.arrivals) {
        const session = requestId.split('/')[0] ?? ''
        sessions.set(key, (sessions.get(key) ?? new Set()).add(session))
      }
      expect(new Set([...sessions.values()].map((set) => set.size))).to.deep.equal(new Set([1]))
      expect(new Set([...sessions.values()].flatMap((set) => [...set])).size).to.equal(3)
    })
  })

  describe('retries', () => {
    it('sends a refused write again under the same request id', async () => {
      let times = 0
      server.refuse = () => (times++ < 3 ? 'OVERLOADED' : undefined)
      await db.put('a', '1')
      const ids = server.arrivals.map(({ requestId }) => requestId)
      expect(ids).to.have.length(4)
      expect(new Set(ids).size).to.equal(1)
      expect(ids[0]).to.match(/^[\w-]{12}\/1$/)
    })

    it('does not retry what a retry cannot mend', async () => {
      server.refuse = () => 'PARTITION_STOPPED'
      expect((await failureOf(db.put('a', '1'))).reason).to.equal('PARTITION_STOPPED')
      expect(server.arrivals).to.have.length(1)
    })

    it('sends everything again after a loss, in order, and nothing is applied twice', async () => {
      await db.put('first', '0')
      server.holdAnswers()
      const keys = Array.from({ length: 500 }, (_, n) => `k${n}`)
      const all = Promise.all(keys.map((key) => db.increment(key)))
      await until(() => server.arrivals.length === 501)
      server.drop()
      const results = await all
      expect(results.map(({ number }) => number)).to.deep.equal(keys.map(() => 1n))
      expect(results.every(({ duplicate }) => duplicate)).to.equal(true)
      const [sent, again] = [server.arrivals.slice(1, 501), server.arrivals.slice(501)]
      expect(again.map(({ requestId }) => requestId)).to.deep.equal(sent.map(({ requestId }) => requestId))
      expect(again.map(({ key }) => key)).to.deep.equal(keys)
    })

    it('waits for a node that is down, and goes on', async () => {
      await server.down()
      const all = put(['a', 'b'])
      await new Promise((resolve) => setTimeout(resolve, 60))
      await server.up()
      await all
      expect((await db.get('a'))?.text()).to.equal('value of a')
    })

    it('survives cut after cut', async () => {
      const keys = Array.from({ length: 2000 }, (_, n) => `n${n % 50}`)
      const cutter = setInterval(() => server.drop(), 15)
      for (let from = 0; from < keys.length; from += 100) {
        await Promise.all(keys.slice(from, from + 100).map((key) => db.increment(key)))
      }
      clearInterval(cutter)
      const rows = await db.getMany(keys.slice(0, 50))
      expect(rows.map((row) => row?.text())).to.deep.equal(rows.map(() => '40'))
    })

    it('keeps every write within the span that the node remembers, and lets reads pass', async () => {
      server.refuse = ({ sequence }) => (sequence === 1 ? 'OVERLOADED' : undefined)
      const stuck = db.put('stuck', '0')
      const others = put(Array.from({ length: 1500 }, (_, n) => `k${n}`))
      await until(
        () => new Set(server.arrivals.map(({ requestId }) => requestId)).size === CLIENT_IN_FLIGHT_MAX,
      )
      expect(await db.get('k1')).to.not.equal(undefined)
      const newest = Math.max(...server.arrivals.map(({ requestId }) => Number(requestId.split('/')[1] ?? 0)))
      expect(newest).to.equal(CLIENT_IN_FLIGHT_MAX)
      server.refuse = () => undefined
      await Promise.all([stuck, others])
    })

    it('retries other calls too', async () => {
      server.failures.push(
        new TidemarkError('PARTITION_RESTORING', 'wait'),
        new TidemarkError('NODE_DRAINING', 'bye'),
      )
      expect((await db.history('a')).versions).to.deep.equal([])
    })
  })

  describe('deadlines', () => {
    it('says of a write without an answer that its outcome is unknown', async () => {
      await db.put('a', '0')
      server.holdAnswers()
      const failure = await failureOf(db.put('a', '1', { deadlineMs: 40 }))
      expect(failure.reason).to.equal('DEADLINE_EXCEEDED')
      expect(failure.message).to.contain('whether the write was applied is unknown')
      expect(failure.metadata).to.deep.equal({ deadline_ms: '40', sent: 'true' })
      expect((await failureOf(db.get('a', { deadlineMs: 20 }))).message).to.not.contain('unknown')
      server.drop()
    })

    it('says of a write that never left that nothing was sent', async () => {
      await server.down()
      const failure = await failureOf(db.put('a', '1', { deadlineMs: 100 }))
      expect(failure.reason).to.equal('NODE_UNREACHABLE')
      expect(failure.metadata['sent']).to.equal('false')
      expect(failure.message).to.contain('ECONNREFUSED')
      await server.up()
    })

    it('names the last failure', async () => {
      server.refuse = () => 'LOG_UNAVAILABLE'
      const failure = await failureOf(db.put('a', '1', { deadlineMs: 1000 }))
      expect(failure.message).to.contain('refused with LOG_UNAVAILABLE')
      expect((failure.cause as TidemarkError).reason).to.equal('LOG_UNAVAILABLE')
    })

    it('fails at once without a connection where that is asked for', async () => {
      await server.down()
      const hasty = connect({ server: server.address, retryUnreachable: false })
      const began = performance.now()
      expect((await failureOf(hasty.put('a', '1'))).reason).to.equal('NODE_UNREACHABLE')
      expect((await failureOf(hasty.describe())).reason).to.equal('NODE_UNREACHABLE')
      expect((await failureOf(hasty.watch().next())).reason).to.equal('NODE_UNREACHABLE')
      expect(performance.now() - began).to.be.lessThan(2000)
      await hasty.close()
      await server.up()
    })
  })

  describe('session', () => {
    it('sends what it has seen with a session read, and nothing with others', async () => {
      const { partition, version } = await db.put('a', '1')
      await db.get('a')
      await db.get('a', { consistency: 'session' })
      expect(server.arrivals.at(-2)?.token).to.equal(undefined)
      expect(server.arrivals.at(-1)?.token?.positions).to.deep.equal([
        { keyspace: 'default', partition, offset: version },
      ])
    })

    it('hands its token to another client', async () => {
      await put(['a', 'b', 'c', 'd'])
      const other = connect({ server: server.address, consistency: 'session' })
      other.observe(db.token())
      other.observe({ keyspace: 'default', partition: 0, offset: 99 })
      other.observe({ keyspace: 'default', partition: 0, offset: 98 })
      await other.get('a')
      const positions = server.arrivals.at(-1)?.token?.positions ?? []
      expect(positions.find(({ partition }) => partition === 0)?.offset).to.equal(99)
      expect(positions.find(({ partition }) => partition === 1)?.offset).to.equal(
        (server.rows.ends[1] ?? 0) - 1,
      )
      await other.close()
    })

    it('refuses rubbish and tokens of another log', async () => {
      await db.put('a', '1')
      for (const rubbish of ['%%%', 'AAAA', 'Zm9vYmFyYmF6']) {
        expect(() => db.observe(rubbish), rubbish)
          .to.throw(TidemarkError)
          .with.property('reason', 'TOKEN_INVALID')
      }
      const foreign = Buffer.from([0x0a, 1, 0x58]).toString('base64url')
      expect(() => db.observe(foreign)).to.throw('of the log X')
    })
  })

  describe('close', () => {
    it('waits for what was begun and refuses the rest', async () => {
      server.delayMs = 30
      const begun = db.put('a', '1')
      const closed = db.close()
      const late = await failureOf(db.put('b', '1'))
      expect(late.reason).to.equal('CANCELLED')
      expect((await begun).version).to.equal(1)
      await closed
      expect((await failureOf(db.history('a'))).reason).to.equal('CANCELLED')
    })
  })
})
