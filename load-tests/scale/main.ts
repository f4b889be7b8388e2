/** `npm run scale`: what more nodes and more partitions do, and what the costs say of larger clusters. */
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { tableText } from '../../services/cli/output.ts'
import { machineText } from '../bench/figures.ts'
import { describeMachine } from '../bench/machine.ts'
import { SCALE_WORKLOADS, type ScaleSample, measureCell } from './cell.ts'
import { GROUP_RECORD_BYTES_MAX, least, reach, unitCosts } from './extrapolate.ts'
import { mapCostsOf } from './map-costs.ts'

const HELP = `What more nodes and more partitions do on this machine, in operations and in processor time, and what follows for larger clusters.

  npm run scale -- [options]

  --quick              a look: 1 and 2 nodes, 1 and 16 partitions, 2 s each; its figures are not to be quoted
  --nodes A,B          (1,2,4)
  --partitions A,B     (1,4,16,64)
  --seconds N          of each workload (8)
  --json FILE          also write every sample and the machine
  --extrapolate FILE   measures nothing: prints what follows from such a file (load-tests/scaling.md says how)
  --help               this text

Nodes, one broker and the client share this machine: more nodes cannot make it faster where its cores are busy. What
grows is what one operation costs: that is the curve to look at. The client is \`tidemark bench\`, 1,024 callers, values of
100 bytes.
`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    nodes: { type: 'string' },
    partitions: { type: 'string' },
    seconds: { type: 'string' },
    json: { type: 'string' },
    extrapolate: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else if (values.extrapolate !== undefined) {
  const { samples } = JSON.parse(await readFile(values.extrapolate, 'utf8')) as { samples: ScaleSample[] }
  process.stdout.write(extrapolated(samples))
} else await main()

async function main(): Promise<void> {
  const { quick } = values
  const grid = {
    nodes: numbers(values.nodes, quick ? [1, 2] : [1, 2, 4]),
    partitions: numbers(values.partitions, quick ? [1, 16] : [1, 4, 16, 64]),
  }
  const seconds = numbers(values.seconds, quick ? [2] : [8])[0] ?? 8
  const samples: ScaleSample[] = []
  for (const nodes of grid.nodes)
    for (const partitions of grid.partitions)
      samples.push(
        ...(await measureCell({ nodes, partitions, seconds, keys: quick ? 20_000 : 200_000 }, (sentence) => {
          console.error(sentence)
        })),
      )
  const machine = describeMachine()
  process.stdout.write(`\n${machineText(machine)}\n\n${curve(samples)}\n${extrapolated(samples)}`)
  if (values.json !== undefined)
    await writeFile(values.json, JSON.stringify({ machine, seconds, samples }, undefined, 2))
}

function numbers(text: string | undefined, otherwise: readonly number[]): readonly number[] {
  if (text === undefined) return otherwise
  const all = text.split(',').map(Number)
  if (all.some((number) => !Number.isInteger(number) || number < 1))
    throw new Error(`whole numbers from 1, with commas, not ${text}`)
  return all
}

function curve(samples: readonly ScaleSample[]): string {
  const rows = SCALE_WORKLOADS.flatMap(({ name }) =>
    samples
      .filter(({ workload }) => workload === name)
      .map((sample, at) => [
        at === 0 ? name : '',
        ...[sample.nodes, sample.partitions, sample.replicas].map(String),
        whole(sample.perSecond),
        sample.p50Ms.toFixed(2),
        sample.p99Ms.toFixed(2),
        ...[sample.nodeMicros, sample.brokerMicros, sample.clientMicros].map((micros) => micros.toFixed(1)),
        `${sample.idleNodes.toFixed(3)}, ${sample.idleBroker.toFixed(3)}`,
        sample.failed === 0 ? '' : String(sample.failed),
      ]),
  )
  return tableText(
    [
      ...['WORKLOAD', 'NODES', 'PARTITIONS', 'REPLICAS', 'PER SECOND', 'P50 MS', 'P99 MS'],
      ...['NODES CPU US', 'BROKER CPU US', 'CLIENT CPU US', 'IDLE CORES (NODES, BROKER)', 'FAILED'],
    ],
    rows,
  )
}

/** Nodes, and brokers for them: one for eight. */
function extrapolated(samples: readonly ScaleSample[]): string {
  const costs = unitCosts(samples)
  const rows = [3, 10, 30, 100, 256, 1000].map((nodes) => {
    const brokers = Math.max(3, Math.ceil(nodes / 8))
    const { puts, gets, roundMicros, map, mapFits } = reach(costs, nodes, brokers, mapCostsOf(nodes))
    const put = least(puts)
    return [
      ...[nodes, brokers, map.partitions].map(whole),
      `${whole(put.rate)} (${put.what})`,
      whole(gets['processors of nodes']),
      (roundMicros / 1000).toFixed(2),
      map.planMs.toFixed(1),
      (map.giftBytes / 1024).toFixed(1),
      `${whole(map.groupRecordBytes / 1024)}${mapFits ? '' : ' (too large)'}`,
    ]
  })
  const { putOnce, putEachReplica, putBroker, get, roundBroker } = costs
  return `Processor time, microseconds: a put ${putOnce.toFixed(1)} + ${putEachReplica.toFixed(1)} for each replica, and ${putBroker.toFixed(1)} of the broker for each copy; a get ${get.toFixed(1)}; a round of the read index ${roundBroker.toFixed(1)} of the broker.

${tableText(
  [
    ...['NODES', 'BROKERS', 'PARTITIONS', 'PUTS/S AT MOST (FIRST TO END)', 'GETS/S AT MOST'],
    ...[
      'READ ROUND MS',
      'PLAN MS',
      'MAP KIB',
      `GROUP RECORD KIB (AT MOST ${whole(GROUP_RECORD_BYTES_MAX / 1024)})`,
    ],
  ],
  rows,
)}`
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}
