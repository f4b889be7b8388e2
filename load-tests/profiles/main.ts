/** `npm run profile`: processor time of one operation, in the node, the client and the broker; two builds in turns; the profile. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startKafka } from '../../infra/kafka/start.ts'
import { tableText } from '../../services/cli/output.ts'
import { must } from '../../streams/core/assert.ts'
import { startNode, type NodeProcess } from '../bench/node-process.ts'
import { hotSpots, hotSpotsTable, type Profile } from './hot-spots.ts'
import { between, usedBy } from './usage.ts'
import { WORKLOADS, type Done } from './workloads.ts'

const HELP = `Processor time for one operation, by process: the figure that other work on the machine disturbs least.

  npm run profile -- [options]

  --workload NAME    ${WORKLOADS.join(', ')} (default: put)
  --log WHICH        embedded (default) or kafka
  --before FOLDER    another checkout, built: both run in turns, node and client of the same build
  --rounds N         of each build (default: 3); the median counts
  --operations N     of each round (default: 200000)
  --hot-spots        instead: the functions that take the time, in the node and in the client
`

const { values } = parseArgs({
  options: {
    workload: { type: 'string', default: 'put' },
    log: { type: 'string', default: 'embedded' },
    before: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    operations: { type: 'string', default: '200000' },
    'hot-spots': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const operations = Number(values.operations)
const LOAD = fileURLToPath(new URL('./load.child.js', import.meta.url))
const DIST = fileURLToPath(new URL('../..', import.meta.url))

/** Microseconds for one operation. */
interface Round {
  readonly build: string
  readonly nodeMain: number
  readonly node: number
  readonly client: number
  readonly broker: number
  readonly perSecond: number
}

interface Build {
  readonly name: string
  readonly dist: string
  readonly node: NodeProcess
}

async function message<T>(child: ChildProcess): Promise<T> {
  const ended = new AbortController()
  const exit = once(child, 'exit', { signal: ended.signal }).then(([code]) => {
    throw new Error(`the load ended with ${String(code)}`)
  })
  try {
    const [said] = (await Promise.race([once(child, 'message'), exit])) as [T]
    return said
  } finally {
    ended.abort()
    exit.catch(() => undefined)
  }
}

async function round(build: Build, brokers: readonly number[], flags: readonly string[]): Promise<Round> {
  const child = fork(LOAD, [build.dist, build.node.server, values.workload, values.operations], {
    execArgv: [...flags],
  })
  const exit = once(child, 'exit')
  const pids = [build.node.pid, must(child.pid, 'the load runs'), ...brokers]
  await message(child)
  const before = await Promise.all(pids.map(usedBy))
  child.send('go')
  const { seconds } = await message<Done>(child)
  // The process that made the load lives until it is told to end.
  const after = await Promise.all(pids.map(usedBy))
  child.send('end')
  await exit
  const used = pids.map((_, index) =>
    between(must(before[index], 'a process'), must(after[index], 'a process')),
  )
  const [node, client] = used
  return {
    build: build.name,
    nodeMain: must(node, 'the node').main / operations,
    node: must(node, 'the node').all / operations,
    client: must(client, 'the client').all / operations,
    broker: used.slice(2).reduce((sum, { all }) => sum + all, 0) / operations,
    perSecond: operations / seconds,
  }
}

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0

function roundsTable(rounds: readonly Round[]): string {
  const builds = [...new Set(rounds.map(({ build }) => build))]
  const measures = ['nodeMain', 'node', 'client', 'broker', 'perSecond'] as const
  const cells = builds.map((build) => {
    const own = rounds.filter((one) => one.build === build)
    const cell = (measure: (typeof measures)[number]): string => {
      const all = own.map((one) => one[measure])
      const digits = measure === 'perSecond' ? 0 : 1
      return `${median(all).toFixed(digits)} (${Math.min(...all).toFixed(digits)}–${Math.max(...all).toFixed(digits)})`
    }
    return [build, ...measures.map(cell)]
  })
  const headings = ['BUILD', 'NODE, MAIN THREAD µs', 'NODE µs', 'CLIENT µs', 'BROKER µs', 'PER SECOND']
  return tableText(headings, cells)
}

async function run(folder: string): Promise<void> {
  const kafka = values.log === 'kafka' ? await startKafka({ longRun: true }) : undefined
  const brokers = kafka?.brokers.map(({ pid }) => must(pid, 'the broker runs')) ?? []
  const flags = values['hot-spots']
    ? ['--cpu-prof', '--cpu-prof-interval', '500', `--cpu-prof-dir=${folder}`]
    : []
  const dists = [...(values.before === undefined ? [] : [join(resolve(values.before), 'dist')]), DIST]
  const builds: Build[] = []
  try {
    for (const [index, dist] of dists.entries()) {
      const environment = {
        TIDEMARK_DATA_DIR: join(folder, `data-${index}`),
        TIDEMARK_CLUSTER: `profile-${index}`,
        TIDEMARK_DEV: '1',
        ...(kafka === undefined
          ? {}
          : {
              TIDEMARK_LOG: 'kafka',
              TIDEMARK_KAFKA_BROKERS: kafka.bootstrap.join(','),
              TIDEMARK_REPLICATION: '1',
            }),
      }
      const node = await startNode(environment, { dist, flags })
      builds.push({ name: index === dists.length - 1 ? 'this' : 'before', dist, node })
    }
    const rounds: Round[] = []
    const count = values['hot-spots'] ? 1 : Number(values.rounds)
    for (let at = 0; at < count; at += 1)
      for (const build of builds) rounds.push(await round(build, brokers, flags))
    process.stdout.write(roundsTable(rounds))
  } finally {
    for (const { node } of builds) await node.stop()
    await kafka?.stop()
  }
  if (values['hot-spots']) await showHotSpots(folder)
}

async function showHotSpots(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.cpuprofile')) continue
    const spots = hotSpots(JSON.parse(await readFile(join(folder, name), 'utf8')) as Profile)
    const runs = (file: string): boolean => spots.some(({ name }) => name.includes(file))
    const thread = runs('replica/replica.js')
      ? 'node'
      : runs('profiles/load.child.js')
        ? 'client'
        : 'a worker of the node'
    process.stdout.write(`\n${thread}, with its start and the warm-up:\n`)
    process.stdout.write(hotSpotsTable(spots, operations * 1.25, 30))
  }
}

if (values.help) process.stdout.write(HELP)
else {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-profile-'))
  try {
    await run(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
