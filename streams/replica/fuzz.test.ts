/** The whole replica on spoiled records: it applies all of them, over restarts, and comes to the hash of the core alone (I2, I3). */
import { expect } from 'chai'
import { CoreDriver } from '../core/testing/core-driver.ts'
import { spoiledLog } from '../core/testing/mutate.ts'
import { Prng } from '../core/testing/prng.ts'
import { randomLog } from '../core/testing/random-log.ts'
import { ScriptedLog, openRig } from './replica.fake.ts'

const SEED = Number(process.env['TIDEMARK_FUZZ_SEED'] ?? Date.now() % 1_000_000_007)
const RECORDS = 24_000

describe(`replica on arbitrary bytes (seed ${SEED})`, () => {
  it(`applies ${RECORDS} spoiled records and resumes anywhere`, async function () {
    this.timeout(60_000)
    this.slow(20_000)
    const prng = new Prng(SEED)
    const corpus = randomLog(prng, {
      records: 1500,
      partition: 0,
      partitions: 1,
      keys: ['a', 'b', 'a/1', 'k1', 'k2'],
    })
    const core = new CoreDriver()
    // A record that asks to stop would stop the replica here: the core alone says which ones do.
    const records = spoiledLog(prng, corpus, RECORDS).filter(
      (record) => core.run([record]).stop === undefined,
    )
    const script = new ScriptedLog()
    script.batchRecords = () => 1 + prng.below(400)
    let rig = openRig({ script })
    for (let at = 0; at < records.length;) {
      const count = 1 + prng.below(4000)
      script.append(records.slice(at, at + count))
      at += count
      await rig.caughtUp()
      rig = await rig.restart()
    }
    await rig.replica.close()
    const { chain, next, rows, rejected, ids, time } = rig.replica.state
    expect(Buffer.from(chain).toString('hex')).to.equal(Buffer.from(core.state.chain).toString('hex'))
    expect({ next, rows, rejected, ids, time }).to.deep.equal({
      next: core.state.next,
      rows: core.state.rows,
      rejected: core.state.rejected,
      ids: core.state.ids,
      time: core.state.time,
    })
  })
})
