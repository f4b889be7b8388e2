/** `npm run kill-points`: SIGKILL of a real process at every kill point of the code, and proof after each that nothing was lost. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { failpointNames } from '../../infra/failpoint-rules.ts'
import { readSources } from '../../infra/source-files.ts'
import { progress } from '../../services/cli/progress.ts'
import { hunt, targetsOf, type Outcome, type Target } from './hunt.ts'
import { embeddedWorld, kafkaWorld, s3World, type RunningWorld } from './worlds.ts'

const HELP = `Kills real processes at every kill point of the code, and verifies all after each kill.

  npm run kill-points -- [options]

  --hits N        kills at each point (20)
  --points a,b    only those whose names begin so, such as log.append or kafka.
  --worlds a,b    of embedded, s3, kafka (all): the server of each is started when it is needed
  --jobs N        points at the same time (2)
  --seed N        of the times at which a point is hit (1)
  --short         one hit at each point of the embedded log
  --list          the points, and nothing more
  --json FILE     what came of each point, as JSON
`

const WORLDS: Readonly<Record<string, () => Promise<RunningWorld> | RunningWorld>> = {
  embedded: embeddedWorld,
  s3: s3World,
  kafka: kafkaWorld,
}

function readArguments() {
  return parseArgs({
    options: {
      hits: { type: 'string', default: '20' },
      points: { type: 'string', default: '' },
      worlds: { type: 'string', default: 'embedded,s3,kafka' },
      jobs: { type: 'string', default: '2' },
      seed: { type: 'string', default: '1' },
      short: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  }).values
}

async function main(): Promise<number> {
  const given = readArguments()
  if (given.help) {
    process.stdout.write(HELP)
    return 0
  }
  const all = failpointNames(readSources())
  const wanted = all.filter((name) => given.points.split(',').some((start) => name.startsWith(start)))
  if (given.list) {
    process.stdout.write(`${wanted.join('\n')}\n`)
    return 0
  }
  const hits = given.short ? 1 : Number(given.hits)
  const kinds = given.short ? ['embedded'] : given.worlds.split(',')
  const worlds: RunningWorld[] = []
  const outcomes: Outcome[] = []
  const missed: string[] = []
  try {
    for (const kind of kinds) {
      const open = WORLDS[kind]
      if (open === undefined) throw new Error(`--worlds: there is no ${kind}`)
      process.stderr.write(`starting: ${kind}\n`)
      worlds.push(await open())
    }
    const targets = await targetsOf(worlds, (sentence) => process.stderr.write(`${sentence}\n`))
    missed.push(...wanted.filter((name) => !targets.has(name)))
    const queue = wanted.map((name) => targets.get(name) ?? []).filter((found) => found.length > 0)
    outcomes.push(...(await huntAll(queue, hits, Number(given.jobs), Number(given.seed))))
  } finally {
    for (const world of worlds) await world.end()
  }
  report(outcomes, missed, kinds)
  if (given.json !== undefined)
    await writeFile(given.json, `${JSON.stringify({ hits, kinds, outcomes, missed }, null, 2)}\n`)
  const unreached = kinds.length === Object.keys(WORLDS).length ? missed.length : 0
  return outcomes.some(({ faults }) => faults.length > 0) || unreached > 0 ? 1 : 0
}

async function huntAll(
  queue: readonly (readonly Target[])[],
  hits: number,
  jobs: number,
  seed: number,
): Promise<Outcome[]> {
  const bar = progress('kills')
  const outcomes: Outcome[] = []
  let next = 0
  let kills = 0
  const work = async (): Promise<void> => {
    for (let target = queue[next++]; target !== undefined; target = queue[next++]) {
      const outcome = await hunt(target, hits, seed + next)
      outcomes.push(outcome)
      kills += outcome.hits
      bar.show(kills, outcomes.length / queue.length)
      process.stdout.write(lineOf(outcome))
      for (const fault of outcome.faults) process.stderr.write(`\n${outcome.point}: ${fault}\n`)
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  bar.end()
  return outcomes
}

/** At once: a run of hours may be ended early. */
const lineOf = ({ point, log, scenario, hits, faults }: Outcome): string =>
  `${point.padEnd(32)} ${String(hits).padStart(4)} kills  ${faults.length === 0 ? 'well ' : 'FAULT'}  ${log}: ${scenario}\n`

function report(outcomes: readonly Outcome[], missed: readonly string[], kinds: readonly string[]): void {
  const sum = (of: (one: Outcome) => number): number => outcomes.reduce((all, one) => all + of(one), 0)
  process.stdout.write(
    `\n${outcomes.length} kill points, ${sum(({ hits }) => hits)} kills, ${sum(({ acknowledged }) => acknowledged)} acknowledged writes, ` +
      `${sum(({ replicasCompared }) => replicasCompared)} replicas compared with a fresh replay, ${sum(({ faults }) => faults.length)} faults\n`,
  )
  if (missed.length > 0) process.stdout.write(`not come to in ${kinds.join(', ')}: ${missed.join(', ')}\n`)
}

process.exit(await main())
