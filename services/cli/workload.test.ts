import { expect } from 'chai'
import fc from 'fast-check'
import { connect } from '../client/index.ts'
import { FakeServer } from '../client/server.fake.ts'
import { run } from './run.fake.ts'
import { measure, runWorkloads, source } from './workload.ts'

describe('the workloads of bench', () => {
  it('visit each key once before any comes again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), (keys) => {
        const next = source({ keys, valueBytes: 100 })
        const round = next.keys(keys)
        expect(new Set(round).size).to.equal(keys)
        expect(round[0]).to.have.length(20)
        expect(next.key()).to.equal(round[0])
        expect(next.value()).to.have.length(100)
      }),
      { numRuns: 100 },
    )
  })

  it('count what was done', async () => {
    let calls = 0
    const call = async (): Promise<void> => void (calls += 1)
    const measured = await measure({ name: 'x', ms: 10_000, loops: 7, weight: 3, calls: 100 }, call)
    expect(calls).to.equal(100)
    expect(measured.operations).to.equal(300)
    expect(measured.p50Ms).to.be.at.most(measured.maxMs)
  })

  it('run against a node, from the command line too', async () => {
    const server = await FakeServer.start()
    const db = connect({ server: server.address })
    const measured = await runWorkloads(db, { ms: 20, keys: 50, valueBytes: 10, inFlight: 8 })
    expect(measured.every(({ operations }) => operations > 0)).to.equal(true)
    await db.close()
    const ran = await run(server.address, ['bench', '--duration', '20ms', '--keys', '50', '-o', 'jsonl'])
    expect(ran.err).to.equal('')
    expect(ran.out.trim().split('\n')).to.have.length(measured.length)
    await server.close()
  })
})
