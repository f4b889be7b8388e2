/** `npm run cluster:bootstrap`: how much sooner a node has its replicas from a peer than from the log that made them. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { connect } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { partitionOf } from '../../streams/core/partitioner.ts'
import type { NewRecord, Partition } from '../../streams/core/types.ts'
import { openKafkaLog } from '../../streams/log/kafka/log.ts'
import type { Log } from '../../streams/log/log.ts'
import { Figures, figuresTable, machineText } from '../bench/figures.ts'
import { describeMachine } from '../bench/machine.ts'
import { type Cluster, startCluster } from './harness.ts'
import type { NodeProcess } from './node-process.ts'

const HELP = `How much sooner a node has its replicas from a peer than from the log that made them.

  npm run cluster:bootstrap -- [options]

  --quick           a tenth of it: 100,000 rows of 1,000,000 records; its figures are not to be quoted
  --rows N          rows of the partition set (1,000,000)
  --updates N       records for each row, each a record of its own as any producer would write it (10)
  --value-bytes N   (100)
  --json FILE       also write the figures and the machine as JSON
  --help            this text

One broker. The log is written first. Then node 1 starts with nothing and replays it, alone on this machine. Then node 2
starts with nothing, takes copies from node 1, and applies what is written meanwhile (a hundredth of the log). Each time
counts from the start of the process until every replica is live and has applied the end of the log.
`

interface Shape {
  readonly rows: number
  readonly updates: number
  readonly valueBytes: number
}

/** As many as a node builds at a time; each must be long enough for a copy to be worth it (COPY_RECORDS_MIN). */
const PARTITIONS = 4
const TOPIC = 'tidemark.default'
/** Records for each partition in one append. */
const APPEND_RECORDS = 1000
const LOOK_MS = 20
/** What is written while the copies travel: one record for so many of the log. */
const TAIL_SHARE = 100
const AIM = 5
const NO_HEADERS: ReadonlyMap<string, Uint8Array> = new Map()

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rows: { type: 'string' },
    updates: { type: 'string', default: '10' },
    'value-bytes': { type: 'string', default: '100' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else
  await measure(
    {
      rows: Number(values.rows ?? (values.quick ? 100_000 : 1_000_000)),
      updates: Number(values.updates),
      valueBytes: Number(values['value-bytes']),
    },
    values.json,
  )

async function measure(shape: Shape, json: string | undefined): Promise<void> {
  const say = (sentence: string): void => {
    console.error(`${sentence} …`)
  }
  const figures = new Figures(({ name, value, unit }) => {
    console.error(`  ${name}: ${Math.round(value * 100) / 100} ${unit}`)
  })
  const cluster = await startCluster({ nodes: 1, brokers: 1, partitions: PARTITIONS, longRun: true, say })
  const end = (): void => void cluster.close().then(() => process.exit(130))
  process.once('SIGINT', end).once('SIGTERM', end)
  try {
    await bootstrap(cluster, shape, figures, say)
  } finally {
    await cluster.close()
  }
  const machine = describeMachine()
  const about = `1 broker, ${PARTITIONS} partitions, ${shape.rows} rows of ${shape.valueBytes} bytes, ${shape.updates} records for each`
  process.stdout.write(`\n${machineText(machine)}\n${about}\n\n${figuresTable(figures.all())}`)
  if (json !== undefined)
    await writeFile(json, JSON.stringify({ machine, settings: shape, figures: figures.all() }, undefined, 2))
}

async function bootstrap(
  cluster: Cluster,
  shape: Shape,
  figures: Figures,
  say: (sentence: string) => void,
): Promise<void> {
  const first = must(cluster.nodes[0], 'a node')
  // The keyspace is there; its node begins with nothing once the log is written.
  await first.stop()
  await rm(join(first.folder, 'data'), { recursive: true })
  const log = await openKafkaLog({
    brokers: cluster.bootstrap,
    dev: true,
    clientId: 'tidemark-bootstrap',
    telemetry: { trouble: say, recovered: say },
  })
  try {
    const records = shape.rows * shape.updates
    say(`writing a log of ${records.toLocaleString('en-US')} records`)
    const began = performance.now()
    for (let round = 0; round < shape.updates; round++) await produce(log, shape, shape.rows)
    figures.add({ name: 'log written', value: rate(records, began), unit: 'records/s' })

    say('node 1 replays the log')
    const replayed = await timed(() => first.start(), first, log, shape.rows)
    figures.add({ name: 'replay of the log', value: replayed, unit: 's' })
    figures.add({ name: 'replay, records', value: records / replayed, unit: 'records/s' })
    figures.add({ name: 'replay, rows', value: shape.rows / replayed, unit: 'rows/s' })

    say('node 2 takes copies from node 1, and the tail')
    const tail = Math.round(records / TAIL_SHARE)
    let second: NodeProcess | undefined
    const copied = await timed(
      async () => {
        const writing = produce(log, shape, tail)
        second = await cluster.addNode()
        await writing
      },
      () => must(second, 'the second node'),
      log,
      shape.rows,
    )
    figures.add({ name: 'copy from a peer, and the tail', value: copied, unit: 's' })
    figures.add({ name: 'copy, rows', value: shape.rows / copied, unit: 'rows/s' })
    figures.add({
      name: 'replay / copy',
      value: replayed / copied,
      unit: 'times',
      target: { atLeast: AIM },
      more: { records, rows: shape.rows, tail, replayed, copied },
    })
    const told = await must(second, 'the second node').output()
    if (told.includes('is built from the log')) throw new Error(`node 2 did not take copies:\n${told}`)
  } finally {
    await log.close()
  }
}

function rate(count: number, began: number): number {
  return (count * 1000) / (performance.now() - began)
}

/** Seconds until all replicas of the node are live, have the rows, and have applied the end of the log. */
async function timed(
  start: () => Promise<void>,
  node: NodeProcess | (() => NodeProcess),
  log: Log,
  rows: number,
): Promise<number> {
  const began = performance.now()
  await start()
  const { address } = typeof node === 'function' ? node() : node
  const db = connect({ server: address })
  try {
    const ends = await Promise.all(
      Array.from({ length: PARTITIONS }, (_, at) => log.offsets(TOPIC, at as Partition)),
    )
    for (;;) {
      const all = await db.describeAll()
      const { replicas = [] } = all.find((one) => one.address === address)?.description ?? {}
      const done = ends.every(({ end }, at) => {
        const replica = replicas.find(({ partition }) => partition === at)
        return replica?.state === 'live' && replica.applied >= end
      })
      if (!done) {
        await sleep(LOOK_MS)
        continue
      }
      const seconds = (performance.now() - began) / 1000
      const found = replicas.reduce((sum, replica) => sum + replica.rows, 0)
      if (found !== rows) throw new Error(`the replicas hold ${found} rows, there should be ${rows}`)
      return seconds
    }
  } finally {
    await db.close()
  }
}

/** One record for each of so many rows; each lane of the log writes its own partitions, one append after the other. */
async function produce(log: Log, { rows, valueBytes }: Shape, count: number): Promise<void> {
  const lane = async (index: number): Promise<void> => {
    const own = (at: number): boolean => at % log.lanes === index
    let next = 0
    while (next < count) {
      const parts = Array.from({ length: PARTITIONS }, (): NewRecord[] => [])
      for (; next < count && parts.every((part) => part.length < APPEND_RECORDS); next++) {
        const key = Buffer.from(`row-${next % rows}`)
        const at = partitionOf(key, PARTITIONS, { kind: 'key' })
        if (own(at))
          must(parts[at], 'a partition').push({
            key,
            value: Buffer.alloc(valueBytes, `${next} `),
            headers: NO_HEADERS,
          })
      }
      const appends = parts.map((records, at) => ({ topic: TOPIC, partition: at as Partition, records }))
      await log.append(
        index,
        appends.filter(({ records }) => records.length > 0),
      )
    }
  }
  await Promise.all(Array.from({ length: log.lanes }, (_, index) => lane(index)))
}
