import { expect } from 'chai'
import fc from 'fast-check'
import { connect } from '../client/index.ts'
import { FakeServer } from '../client/server.fake.ts'
import { WORKLOAD_NAMES } from './bench-options.ts'
import { run } from './run.fake.ts'
import { runWorkload, source } from './workload.ts'

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

  it('run against a node; load writes each key, and reads then miss none', async () => {
    const server = await FakeServer.start()
    const db = connect({ server: server.address })
    const options = { ms: 20, keys: 300, valueBytes: 10, clients: 8 }
    let missing = 0
    const onMissing = (rows: number): void => void (missing += rows)
    expect((await runWorkload('get', db, options, { onMissing })).operations).to.equal(missing)
    expect((await runWorkload('load', db, options)).operations).to.equal(300)
    missing = 0
    for (const name of WORKLOAD_NAMES) {
      const measured = await runWorkload(name, db, { ...options, zipf: 0.9 }, { onMissing })
      expect(measured.operations, name).to.be.greaterThan(0)
    }
    expect(missing).to.equal(0)
    await db.close()
    await server.close()
  })

  it('run from the command line, a line for each in a pipe', async () => {
    const server = await FakeServer.start()
    const small = ['--duration', '20ms', '--keys', '300', '--rate', '1000']
    const ran = await run(server.address, ['bench', 'load', 'mix', ...small, '-o', 'jsonl'])
    expect(ran.err).to.equal('')
    const [load, mix] = ran.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { name: string; operations: number })
    expect(load).to.include({ name: 'load', operations: 300, failed: 0 })
    expect(mix?.operations).to.be.within(1, 21)
    await server.close()
  })

  it('say what was not there, and refuse what they do not know', async () => {
    const server = await FakeServer.start()
    const ran = await run(server.address, ['bench', 'get', '--duration', '10ms', '--keys', '10'])
    expect(ran.err).to.match(/rows of get were not there; "bench load" writes them/)
    expect(ran.out.split('\t')).to.have.length(9)
    expect((await run(server.address, ['bench', 'gett'])).code).to.equal(2)
    expect((await run(server.address, ['bench', '--zipf', '1.5'])).code).to.equal(2)
    await server.close()
  })
})
