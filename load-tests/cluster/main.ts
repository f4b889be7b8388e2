/** `npm run cluster`: a real Kafka and a cluster of nodes on this machine until Ctrl-C. */
import { parseArgs } from 'node:util'
import { takeSurvey } from '../../services/cli/cluster.ts'
import { headline, nodesTable, partitionsTable } from '../../services/cli/cluster-tables.ts'
import { nodeLines, partitionLines } from '../../services/cli/survey.ts'
import { connect } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { PARTITIONS_MAX } from '../../streams/core/limits.ts'
import { type Cluster, startCluster } from './harness.ts'

const HELP = `A real Kafka and a cluster of Tidemark nodes on 127.0.0.1, for development and demonstration. Needs Java 17 and Maven.

  npm run cluster -- [options]

  --nodes N          how many nodes (3)
  --brokers 1|3      how many brokers: 3 keep three copies and acknowledge with two; 1 is for a small machine (3)
  --partitions N     of the default keyspace (12)
  --base-port N      gRPC port of the first node; the others have the next ones (7401)
  --base-http-port N its HTTP port, likewise (7481)
  --dir PATH         keep all data there; without it, it is gone at the end
  --json             say what runs as one line of JSON instead of tables
  --help             this text

It prints where everything is and stays up; Ctrl-C stops all of it.
`

interface Arguments {
  readonly nodes: number
  readonly brokers: 1 | 3
  readonly partitions: number
  readonly basePort: number
  readonly baseHttpPort: number
  readonly directory: string | undefined
  readonly json: boolean
}

class UsageError extends Error {}

function readArguments(): Arguments | 'help' {
  const { values } = parse()
  if (values.help) return 'help'
  const whole = (name: string, text: string, most: number): number => {
    const number = Number(text)
    if (!Number.isInteger(number) || number < 1 || number > most)
      throw new UsageError(`--${name} is a number from 1 to ${most}, not ${text}`)
    return number
  }
  if (values.brokers !== '1' && values.brokers !== '3')
    throw new UsageError(`--brokers is 1 or 3, not ${values.brokers}`)
  return {
    nodes: whole('nodes', values.nodes, NODES_MAX),
    brokers: values.brokers === '1' ? 1 : 3,
    partitions: whole('partitions', values.partitions, PARTITIONS_MAX),
    basePort: whole('base-port', values['base-port'], 65_500),
    baseHttpPort: whole('base-http-port', values['base-http-port'], 65_500),
    directory: values.dir,
    json: values.json,
  }
}

/** So that the two ranges of ports do not meet. */
const NODES_MAX = 32

function parse() {
  try {
    return parseArgs({
      options: {
        nodes: { type: 'string', default: '3' },
        brokers: { type: 'string', default: '3' },
        partitions: { type: 'string', default: '12' },
        'base-port': { type: 'string', default: '7401' },
        'base-http-port': { type: 'string', default: '7481' },
        dir: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

async function main(): Promise<void> {
  const args = readArguments()
  if (args === 'help') {
    process.stdout.write(HELP)
    return
  }
  let cluster: Cluster | undefined = undefined
  let stopping = false
  const stop = (): void => {
    // A start that is under way ends with this process: see infra/kafka/watchdog.ts.
    if (cluster === undefined || stopping) process.exit(130)
    stopping = true
    console.error('\nstopping …')
    void cluster.close().then(() => process.exit(0))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)

  const began = performance.now()
  const seconds = (): string => ((performance.now() - began) / 1000).toFixed(1)
  cluster = await startCluster({
    ...args,
    longRun: true,
    say: (sentence) => {
      console.error(`${seconds()} s  ${sentence} …`)
    },
  })
  console.error(`${seconds()} s  all partitions are live`)
  if (args.json) printJson(cluster)
  else await printTables(cluster, args)
  // Child processes that end do not keep this one alive; this does.
  setInterval(() => undefined, 1 << 30)
}

function printJson({ nodes, bootstrap, directory }: Cluster): void {
  const described = nodes.map(({ id, address, httpAddress, pid }) => ({
    node_id: id,
    address,
    http: httpAddress,
    pid,
  }))
  console.log(JSON.stringify({ kafka_brokers: bootstrap, directory, nodes: described }))
}

async function printTables(cluster: Cluster, { directory }: Arguments): Promise<void> {
  const first = must(cluster.nodes[0], 'a node')
  const client = connect({ server: first.address })
  try {
    const survey = await takeSurvey(client)
    const kept = directory === undefined ? ' (removed at the end)' : ''
    console.log(`
${headline(survey)}
Kafka at ${cluster.bootstrap.join(',')}; data in ${cluster.directory}${kept}

${nodesTable(nodeLines(survey))}
${partitionsTable(partitionLines(survey))}
Process ids: ${cluster.nodes.map(({ id, pid }) => `${id} ${pid ?? '-'}`).join(', ')}

Talk to it from another terminal:

  export TIDEMARK_SERVER=${first.address}
  npx tidemark put greeting hello
  npx tidemark get greeting --server ${must(cluster.nodes.at(-1), 'a node').address}
  npx tidemark cluster watch
  npx tidemark cluster verify
  kill -9 ${cluster.nodes.at(-1)?.pid ?? '<pid>'}        and go on reading and writing

Ctrl-C ends it.`)
  } finally {
    await client.close()
  }
}

main().catch((error: unknown) => {
  const usage = error instanceof UsageError
  console.error(error instanceof Error ? error.message : error)
  if (usage) console.error('See npm run cluster -- --help')
  process.exit(usage ? 2 : 1)
})
