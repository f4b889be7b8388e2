import { expect } from 'chai'
import { TidemarkError } from './core/errors.ts'
import type { Outcome } from './core/mutation.ts'
import type { Offset, Partition } from './core/types.ts'
import type { Keyspace, TidemarkNode, WatchMessage } from './face.ts'
import { openTestNode, soon, text, type TestNode } from './node.fixture.ts'

const bytes = (value: string): Buffer => Buffer.from(value, 'utf8')
const everything = { start: Buffer.alloc(0), end: undefined }

describe('node', () => {
  let test: TestNode
  let node: TidemarkNode
  let keys: Keyspace

  beforeEach(async () => {
    test = await openTestNode()
    node = test.node
    keys = node.keyspace('default')
  })
  afterEach(() => test.node.close(Date.now() + 1000))

  const put = (key: string, value: string, more: object = {}): Promise<Outcome | undefined> =>
    keys
      .write({ kind: 'put', key: bytes(key), value: bytes(value), ...more }, { deadline: soon() })
      .then(({ outcome }) => outcome)
  const get = async (key: string): Promise<string | undefined> =>
    text((await keys.get(bytes(key), { deadline: soon() })).row?.value)

  it('reads its own writes', async () => {
    const outcome = await put('greeting', 'hello')
    expect(outcome?.status).to.equal('applied')
    expect(await get('greeting')).to.equal('hello')
    expect(await get('other')).to.equal(undefined)
  })

  it('packs what gathers and gives each mutation its outcome', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 500 }, (_, at) =>
        put(`key-${at % 250}`, `value-${at}`, at % 2 === 0 ? {} : { ifVersion: 0 }),
      ),
    )
    expect(outcomes.filter((outcome) => outcome?.status === 'applied').length).to.be.greaterThan(249)
    expect(await get('key-0')).to.equal('value-250')
  })

  it('decides conditions in the log', async () => {
    const first = await put('a', '1', { ifVersion: 0 })
    const again = await put('a', '2', { ifVersion: 0 })
    expect(again).to.include({ status: 'rejected', reason: 'VERSION_MISMATCH', version: first?.version })
    const third = await put('a', '3', { ifVersion: first?.version })
    expect(third?.status).to.equal('applied')
  })

  it('applies a request id once', async () => {
    const sum = (requestId: string): Promise<Outcome | undefined> =>
      keys
        .write({ kind: 'increment', key: bytes('n'), delta: 5n, requestId }, { deadline: soon() })
        .then(({ outcome }) => outcome)
    expect(await sum('s/1')).to.include({ status: 'applied', number: 5n, duplicate: false })
    expect(await sum('s/1')).to.include({ status: 'applied', number: 5n, duplicate: true })
    expect(await sum('s/2')).to.include({ status: 'applied', number: 10n, duplicate: false })
  })

  it('expires rows exactly, by the time of the log', async () => {
    await put('short', 'lived', { ttlMs: 1000 })
    expect(await get('short')).to.equal('lived')
    const watch = await keys.watch({ range: everything })
    expect(((await watch.next()).value as WatchMessage).mark).to.equal('progress')
    const next = watch.next()
    test.advance(1001)
    const events = ((await next).value as WatchMessage).events
    expect(events.map(({ kind, row }) => [kind, text(row.key)])).to.deep.equal([['expired', 'short']])
    expect(await get('short')).to.equal(undefined)
    await watch.return?.()
  })

  it('watches rows as they stand, then changes, and resumes exactly', async () => {
    await put('a/1', 'one')
    await put('b/1', 'other')
    const watch = await keys.watch({ range: { start: bytes('a/'), end: bytes('a0') }, initialRows: true })
    const seen: string[] = []
    let positions: WatchMessage['positions'] = []
    const pull = async (): Promise<void> => {
      const message = (await watch.next()).value as WatchMessage
      if (message.positions.length > 0) positions = message.positions
      seen.push(
        message.mark,
        ...message.events.map(({ kind, row }) => `${kind} ${text(row.key)}=${text(row.value)}`),
      )
    }
    await pull()
    await pull()
    await put('a/2', 'two')
    await pull()
    expect(seen).to.deep.equal(['events', 'put a/1=one', 'initial-end', 'events', 'put a/2=two'])
    await watch.return?.()
    await put('a/1', 'uno')
    await keys.write({ kind: 'delete', key: bytes('a/2') }, { deadline: soon() })
    const resumed = await keys.watch({
      range: { start: bytes('a/'), end: bytes('a0') },
      resume: { logIdentity: '', positions },
    })
    const later: string[] = []
    while (later.length < 2) {
      const { value } = (await resumed.next()) as { value: WatchMessage }
      later.push(...value.events.map(({ kind, row }) => `${kind} ${text(row.key)}=${text(row.value)}`))
    }
    expect(later.sort()).to.deep.equal(['deleted a/2=', 'put a/1=uno'])
    await resumed.return?.()
  })

  it('scans in key order over all partitions, with limits and backwards', async () => {
    for (let at = 0; at < 50; at++) await put(`k${String(at).padStart(2, '0')}`, 'v')
    const scan = async (more: object): Promise<string[]> => {
      const { rows } = await keys.scan({ range: everything, deadline: soon(), ...more })
      const found: string[] = []
      for await (const chunk of rows) found.push(...chunk.map(({ key }) => text(key) ?? ''))
      return found
    }
    const all = Array.from({ length: 50 }, (_, at) => `k${String(at).padStart(2, '0')}`)
    expect(await scan({})).to.deep.equal(all)
    expect(await scan({ reverse: true, limit: 3 })).to.deep.equal(['k49', 'k48', 'k47'])
    expect(await scan({ range: { start: bytes('k1'), end: bytes('k2') } })).to.deep.equal(all.slice(10, 20))
  })

  it('keeps history, past versions and outcomes', async () => {
    const one = await put('h', 'one')
    const two = await put('h', 'two')
    await keys.write({ kind: 'delete', key: bytes('h') }, { deadline: soon() })
    const partition = keys.partitionOf(bytes('h'))
    const { versions } = await keys.history(bytes('h'), 10, { deadline: soon() })
    expect(versions.map(({ kind, row }) => `${kind} ${text(row.value)}`)).to.deep.equal([
      'deleted ',
      'put two',
      'put one',
    ])
    const past = await keys.getAt(bytes('h'), one?.version as Offset, { deadline: soon() })
    expect(text(past.row?.value)).to.equal('one')
    const { outcomes } = await keys.outcome(partition, two?.version as Offset, soon())
    expect(outcomes).to.have.length(1)
    expect(outcomes[0]).to.include({ status: 'applied', version: two?.version })
  })

  it('answers the reads of a transaction as before and after it', async () => {
    await put('t', 'old')
    const key = bytes('t')
    const result = await keys.write(
      {
        kind: 'txn',
        compares: [{ key, operator: 'equal', target: 'value', value: bytes('old') }],
        thenChanges: [{ kind: 'put', key, value: bytes('new') }],
        elseChanges: [],
      },
      { deadline: soon() },
      {
        thenReads: [
          { key, when: 'before' },
          { key, when: 'after' },
        ],
        elseReads: [],
      },
    )
    expect(result.outcome).to.include({ status: 'applied', succeeded: true })
    expect(result.reads.map((row) => text(row?.value))).to.deep.equal(['old', 'new'])
  })

  it('refuses a token beyond the log, of another log, and waits for one that comes', async () => {
    await put('x', '1')
    const partition = keys.partitionOf(bytes('x'))
    const read = (offset: number, logIdentity = ''): Promise<unknown> =>
      keys
        .get(bytes('x'), {
          consistency: 'session',
          token: { logIdentity, positions: [{ keyspace: 'default', partition, offset: offset as Offset }] },
          deadline: soon(),
        })
        .catch((caught: unknown) => TidemarkError.from(caught).reason)
    expect(await read(1_000_000)).to.equal('TOKEN_BEYOND_LOG')
    expect(await read(0, 'elsewhere')).to.equal('TOKEN_INVALID')
    const { offset } = await test.append(partition, 'x', '2')
    expect(await read(offset)).to.have.nested.property('row.version', offset)
  })

  it('shows what strangers produce, and the verdict on what is wrong', async () => {
    const wrong = ((keys.partitionOf(bytes('x')) + 1) % keys.info.partitions) as Partition
    const { offset } = await test.append(wrong, 'x', 'misplaced')
    const { outcomes } = await keys.outcome(wrong, offset, soon())
    expect(outcomes[0]).to.include({ status: 'rejected', reason: 'MISPLACED_KEY' })
    expect(await get('x')).to.equal(undefined)
  })

  it('resumes from its store', async () => {
    for (let at = 0; at < 20; at++) await put(`key-${at}`, `value-${at}`)
    const before = node.replicas().map(({ chainHash, next }) => ({ chainHash, next }))
    const again = await test.reopen()
    expect(again.replicas().map(({ chainHash, next }) => ({ chainHash, next }))).to.satisfy(
      (after: typeof before) => after.every(({ next }, at) => next >= (before[at]?.next ?? 0)),
    )
    keys = again.keyspace('default')
    expect(await get('key-7')).to.equal('value-7')
  })
})
