/**
 * What looking at a node costs: processor time for each operation of a Pipeline, of a node that an agent and a scraper look at, and of one
 * that nobody does, in turns of one run. `npm run bench:telemetry`. Counting itself cannot be switched off: it is in both.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Tidemark, connect } from '../../services/client/index.ts'
import { type NodeProcess, startNode } from '../../services/node/process.fixture.ts'

const ROUNDS = 8
const ROUND_MS = 4000
const IN_FLIGHT = 512
/** Ten times as often as Prometheus asks by default. */
const SCRAPE_MS = 1500
/** Of the kernel's clock, a second. */
const TICKS = 100

interface Side {
  readonly name: string
  readonly node: NodeProcess
  readonly client: Tidemark
  seconds: number
  operations: number
}

async function side(name: string, folder: string, agent: number | undefined): Promise<Side> {
  const node = await startNode({
    TIDEMARK_DATA_DIR: join(folder, name),
    TIDEMARK_PARTITIONS: '4',
    ...(agent === undefined ? {} : { DD_DOGSTATSD_URL: `udp://127.0.0.1:${agent}` }),
  })
  return { name, node, client: connect({ server: node.address }), seconds: 0, operations: 0 }
}

async function processorSeconds({ process: { pid } }: NodeProcess): Promise<number> {
  const stat = await readFile(`/proc/${pid ?? 0}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

async function round(one: Side): Promise<void> {
  const before = await processorSeconds(one.node)
  const end = performance.now() + ROUND_MS
  let operations = 0
  const value = 'v'.repeat(100)
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async (_, at) => {
      while (performance.now() < end) {
        await one.client.put(`key-${at}`, value)
        operations += 1
      }
    }),
  )
  one.seconds += (await processorSeconds(one.node)) - before
  one.operations += operations
}

const folder = await mkdtemp(join(tmpdir(), 'tidemark-telemetry-'))
const agent = createSocket('udp4').bind(0, '127.0.0.1')
await once(agent, 'listening')
const on = await side('on', folder, agent.address().port)
const off = await side('off', folder, undefined)
const scraping = setInterval(
  () => void fetch(`http://${on.node.httpAddress}/metrics`).then((answer) => answer.text()),
  SCRAPE_MS,
)
try {
  await round(on)
  await round(off)
  for (const one of [on, off]) [one.seconds, one.operations] = [0, 0]
  for (let at = 0; at < ROUNDS; at++) for (const one of at % 2 === 0 ? [on, off] : [off, on]) await round(one)
  const cost = ({ seconds, operations }: Side): number => (seconds / operations) * 1e6
  for (const one of [on, off])
    console.log(
      `telemetry ${one.name}: ${cost(one).toFixed(2)} µs of processor for an operation (${one.operations})`,
    )
  console.log(`more: ${((cost(on) / cost(off) - 1) * 100).toFixed(1)} %`)
} finally {
  clearInterval(scraping)
  for (const { client, node } of [on, off]) {
    await client.close()
    await node.end('SIGTERM')
  }
  agent.close()
  await rm(folder, { recursive: true, force: true })
}
