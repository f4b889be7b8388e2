/** Barriers, and reads as of their places, on one node. */
import { expect } from 'chai'
import { TidemarkError } from './core/errors.ts'
import { HISTORY_RECORDS_MAX } from './core/limits.ts'
import { offset as offsetAt, partition } from './core/types.ts'
import { openTestNode, soon, text } from './node.fixture.ts'
import type { TestNode } from './node.fixture.ts'

const reasonOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'none'
  } catch (caught) {
    return TidemarkError.from(caught).reason
  }
}

describe('a barrier', () => {
  let test: TestNode
  beforeEach(async () => {
    test = await openTestNode()
  })
  afterEach(() => test.node.close(Date.now()))
  const rows = (): ReturnType<TestNode['node']['keyspace']> => test.node.keyspace('default')
  const P = partition(2)
  const keyIn = (place: number): string => {
    let key = 0
    while (rows().partitionOf(Buffer.from(String(key))) !== place) key += 1
    return String(key)
  }

  it('stands where the first record of its name stands, also after a restart', async () => {
    const first = await rows().barrier(P, 'cut:a', soon())
    expect([first.partition, first.offset, first.repeated]).to.deep.equal([P, first.at, false])
    expect(Math.abs((first.time ?? 0) - Date.now())).to.be.below(60_000)
    const again = await rows().barrier(P, 'cut:a', soon())
    expect([again.offset, again.time, again.repeated]).to.deep.equal([first.offset, first.time, true])
    expect(again.at).to.be.greaterThan(first.at)
    await test.reopen()
    expect((await rows().barrier(P, 'cut:a', soon())).offset).to.equal(first.offset)
    const found = await rows().findBarrier(P, 'cut:a', soon())
    expect([found?.offset, found?.at]).to.deep.equal([first.offset, first.offset])
    expect(await rows().findBarrier(P, 'cut:b', soon())).to.equal(undefined)
    expect(await rows().findBarrier(partition(1), 'cut:a', soon())).to.equal(undefined)
  })

  it('is a record like others: it has an outcome, and changes nothing', async () => {
    const before = test.node.replicas()[P]
    const { offset } = await rows().barrier(P, 'x', soon())
    const { outcomes } = await rows().outcome(P, offset, soon())
    expect(outcomes).to.deep.equal([{ status: 'applied', offset, succeeded: true, duplicate: false }])
    const after = test.node.replicas()[P]
    expect([after?.rows, after?.rejected]).to.deep.equal([before?.rows, before?.rejected])
  })

  it('is refused where its name cannot be, or was that of a write which was rejected', async () => {
    expect(await reasonOf(rows().barrier(P, '', soon()))).to.equal('REQUEST_ID_INVALID')
    expect(await reasonOf(rows().barrier(P, 'x'.repeat(65), soon()))).to.equal('REQUEST_ID_INVALID')
    expect(await reasonOf(rows().barrier(partition(9), 'x', soon()))).to.equal('FIELD_INVALID')
    const mutation = {
      kind: 'delete',
      key: Buffer.from(keyIn(P)),
      ifVersion: offsetAt(99),
      requestId: 'used',
    } as const
    await rows().write(mutation, { deadline: soon() })
    expect(await reasonOf(rows().barrier(P, 'used', soon()))).to.equal('VERSION_MISMATCH')
  })

  it('is gone as a moment to read as of once the history has moved past it', async function () {
    this.timeout(60_000)
    const { offset } = await rows().barrier(P, 'x', soon())
    const positions = [{ keyspace: 'default', partition: P, offset }]
    const freshness = {
      asOf: { logIdentity: test.node.description.logIdentity, positions },
      deadline: soon() + 60_000,
    }
    const scan = () =>
      rows().scan({ ...freshness, partitions: [P], range: { start: Buffer.alloc(0), end: undefined } })
    for await (const some of (await scan()).rows) expect(some).to.deep.equal([])
    const key = keyIn(P)
    const { offset: last } = await test.append(P, key, 'x', Math.ceil(HISTORY_RECORDS_MAX * 1.1))
    await rows().barrier(P, 'y', freshness.deadline)
    expect(test.node.replicas()[P]?.next).to.be.greaterThan(last + HISTORY_RECORDS_MAX)
    const keys = [Buffer.from(key)]
    for (const reading of [scan(), rows().get(Buffer.from(key), freshness), rows().getMany(keys, freshness)])
      expect(await reasonOf(reading)).to.equal('COMPACTED')
  })

  it('is a moment to read as of: one key, several, and all', async () => {
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'].map((key) => Buffer.from(key))
    const write = (value: string): Promise<unknown> =>
      Promise.all(
        keys.map((key) =>
          rows().write({ kind: 'put', key, value: Buffer.from(value) }, { deadline: soon() }),
        ),
      )
    await write('before')
    const barriers = await Promise.all(
      [0, 1, 2, 3].map((each) => rows().barrier(partition(each), 'm', soon())),
    )
    await write('after')
    const asOf = {
      logIdentity: test.node.description.logIdentity,
      positions: barriers.map(({ partition: each, offset }) => ({
        keyspace: 'default',
        partition: each,
        offset,
      })),
    }
    const freshness = { asOf, deadline: soon() }
    const one = await rows().get(Buffer.from('a'), freshness)
    expect([text(one.row?.value), one.applied]).to.deep.equal(['before', barriers[one.partition]?.offset])
    const many = await rows().getMany(keys, freshness)
    expect(many.rows.map((row) => text(row?.value))).to.deep.equal(keys.map(() => 'before'))
    for (const { partition: each, applied } of many.provenance)
      expect(applied).to.equal(barriers[each]?.offset)
    const scan = await rows().scan({ ...freshness, range: { start: Buffer.alloc(0), end: undefined } })
    expect(scan.token.positions).to.deep.equal(asOf.positions)
    const found: (string | undefined)[] = []
    for await (const some of scan.rows) found.push(...some.map((row) => text(row.value)))
    expect(found).to.deep.equal(keys.map(() => 'before'))
  })
})
