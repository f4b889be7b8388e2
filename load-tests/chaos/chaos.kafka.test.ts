/** The short part of `npm run chaos`: some cells on one cluster, about 100 s. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { withJava } from '../../infra/kafka/with-kafka.ts'
import { runCells } from './run.ts'
import { SHORT } from './matrix.ts'

describe('chaos, in short', function () {
  withJava()

  before(function () {
    // Addresses of its own for each node, beside 127.0.0.1.
    if (process.platform !== 'linux') this.skip()
  })

  it('loses nothing, doubles nothing and shows nothing old, whatever is done to nodes, brokers and the network', async function () {
    this.timeout(480_000)
    const seed = Math.floor(Date.now() / 1000)
    const keep = join(tmpdir(), `tidemark-chaos-${seed}`)
    const said: string[] = []
    const say = (sentence: string): void => void said.push(sentence)
    const results = await runCells({ cells: SHORT, seconds: 6, seed, clients: 16, keep, longRun: false, say })
    const wrong = results.filter(({ verdict }) => verdict !== 'passed')
    if (wrong.length > 0) console.error(said.join('\n'))
    expect(wrong.map(({ cell, verdict, faults }) => [cell, verdict, faults])).to.deep.equal([])
  })
})
