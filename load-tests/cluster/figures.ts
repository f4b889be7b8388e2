/** `npm run cluster:figures`: how a cluster bears restarts, deaths, leaving and joining under load. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { Figures, figuresTable, machineText } from '../bench/figures.ts'
import { describeMachine } from '../bench/machine.ts'
import { startCluster } from './harness.ts'
import { type ScenarioSettings, gracefulLeave, join, killLeader, rollingRestart } from './scenarios.ts'

const HELP = `How a cluster of three brokers and three nodes bears restarts, deaths, leaving and joining under load.

  npm run cluster:figures -- [options]

  --quick           shorter calms between; its figures are not to be quoted
  --rounds N        how often each is done; the worst counts (1)
  --json FILE       also write the figures and the machine as JSON
  --help            this text

Every answer is checked: rising numbers for each key, counters that must not skip, reads that must not be
older than what was acknowledged. The load, the client, three nodes and three brokers share this machine.
`

const FULL: ScenarioSettings = { partitions: 12, calmMs: 4000 }
const QUICK: ScenarioSettings = { partitions: 6, calmMs: 1000 }

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '1' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else await measure(values.quick ? QUICK : FULL, Number(values.rounds), values.json)

async function measure(settings: ScenarioSettings, rounds: number, json: string | undefined): Promise<void> {
  const figures = new Figures(({ name, value, unit }) => {
    console.error(`  ${name}: ${Math.round(value)} ${unit}`)
  })
  const cluster = await startCluster({
    partitions: settings.partitions,
    longRun: true,
    say: (sentence) => {
      console.error(`${sentence} …`)
    },
  })
  const end = (): void => void cluster.close().then(() => process.exit(130))
  process.once('SIGINT', end).once('SIGTERM', end)
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const scenario of [rollingRestart, killLeader, gracefulLeave]) {
        await scenario(figures, cluster, settings)
      }
    }
    await join(figures, cluster, settings)
  } finally {
    await cluster.close()
  }
  const machine = describeMachine()
  const about = `3 brokers, 3 nodes, ${settings.partitions} partitions; a putter, a counter and a reader for each`
  process.stdout.write(`\n${machineText(machine)}\n${about}\n\n${figuresTable(worst(figures))}`)
  if (json !== undefined)
    await writeFile(json, JSON.stringify({ machine, settings, figures: worst(figures) }, undefined, 2))
}

/** Of several rounds. */
function worst(figures: Figures): ReturnType<Figures['all']> {
  const byName = new Map<string, ReturnType<Figures['all']>[number]>()
  for (const figure of figures.all()) {
    const known = byName.get(figure.name)
    if (known === undefined || figure.value > known.value) byName.set(figure.name, figure)
  }
  return [...byName.values()]
}
