/** An agent that is killed under load: no call fails, and what waits for it does not pile up. */
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { type Tidemark, connect } from '../../client/index.ts'
import { type NodeProcess, startNode } from '../process.fixture.ts'

const KEYS = 500

describe('an agent that is killed under load', function () {
  this.timeout(60_000)
  let folder: string
  let agent: Socket
  let node: NodeProcess
  let client: Tidemark
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-agent-'))
    agent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(agent, 'listening')
    node = await startNode({
      TIDEMARK_DATA_DIR: folder,
      TIDEMARK_PARTITIONS: '2',
      DD_DOGSTATSD_URL: `udp://127.0.0.1:${agent.address().port}`,
    })
    client = connect({ server: node.address })
  })
  after(async () => {
    await client.close()
    await node.end('SIGTERM')
    await rm(folder, { recursive: true, force: true })
  })

  const load = (): Promise<unknown> =>
    Promise.all(Array.from({ length: KEYS }, (_, at) => client.put(`key-${at}`, 'value'.repeat(20))))
  const external = async (): Promise<number> => {
    const text = await (await fetch(`http://${node.httpAddress}/metrics`)).text()
    return Number(/^nodejs_external_memory_bytes\{.*\} (\d+)$/m.exec(text)?.[1])
  }

  it('costs no call, no line for each send, and no memory', async () => {
    await load()
    agent.close()
    await once(agent, 'close')
    const before = await external()
    // Longer than one interval of reporting.
    const end = performance.now() + 12_000
    let calls = 0
    while (performance.now() < end) {
      await load()
      calls += KEYS
    }
    expect(calls).to.be.greaterThan(KEYS)
    expect((await external()) - before, 'bytes of buffers').to.be.lessThan(64 * 1024 * 1024)
    const warned = node.output().match(/cannot send metrics/g) ?? []
    expect(warned.length).to.be.at.most(1)
  })
})
