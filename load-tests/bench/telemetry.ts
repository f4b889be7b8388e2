/**
 * What looking at a node costs: processor time of its process for each put of a Pipeline, of a node that an agent and a scraper look at, of one
 * that sends traces of a hundredth of them, and of one that nobody looks at, in turns of one run. `npm run bench:telemetry`. Each round has one
 * turn of each; the median of the rounds' ratios is told, which a machine that has other work too hardly moves. Counting itself cannot be
 * switched off: it is in all.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
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
  /** Processor seconds of an operation, one for each round. */
  readonly costs: number[]
  operations: number
}

async function side(
  name: string,
  folder: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Side> {
  const node = await startNode({
    TIDEMARK_DATA_DIR: join(folder, name),
    TIDEMARK_PARTITIONS: '4',
    ...settings,
  })
  return { name, node, client: connect({ server: node.address }), costs: [], operations: 0 }
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
  one.costs.push(((await processorSeconds(one.node)) - before) / operations)
  one.operations += operations
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((one, other) => one - other)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

const folder = await mkdtemp(join(tmpdir(), 'tidemark-telemetry-'))
const agent = createSocket('udp4').bind(0, '127.0.0.1')
await once(agent, 'listening')
const receiver = createServer((request, response) => {
  request.resume().on('end', () => response.end())
}).listen(0, '127.0.0.1')
await once(receiver, 'listening')
const off = await side('off', folder)
const on = await side('metrics', folder, { DD_DOGSTATSD_URL: `udp://127.0.0.1:${agent.address().port}` })
const traced = await side('traces, 1 %', folder, {
  OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`,
})
const sides = [off, on, traced]
const scraping = setInterval(
  () => void fetch(`http://${on.node.httpAddress}/metrics`).then((answer) => answer.text()),
  SCRAPE_MS,
)
try {
  for (const one of sides) {
    await round(one)
    one.costs.length = 0
    one.operations = 0
  }
  // Each turn of a round stands before and after each other as often.
  for (let at = 0; at < ROUNDS; at++)
    for (const one of at % 2 === 0 ? sides : sides.toReversed()) await round(one)
  for (const { name, costs, operations } of sides)
    console.log(`${name}: ${(median(costs) * 1e6).toFixed(2)} µs of processor for a put (${operations} puts)`)
  for (const { name, costs } of [on, traced]) {
    const ratios = costs.map((cost, at) => cost / (off.costs[at] ?? NaN))
    console.log(`${name}: ${((median(ratios) - 1) * 100).toFixed(1)} % more, median of ${ROUNDS} rounds`)
  }
} finally {
  clearInterval(scraping)
  for (const { client, node } of sides) {
    await client.close()
    await node.end('SIGTERM')
  }
  agent.close()
  receiver.closeAllConnections()
  receiver.close()
  await rm(folder, { recursive: true, force: true })
}
