/** `npm run kafka`: a real Apache Kafka on this machine until Ctrl-C. */
import { parseArgs } from 'node:util'
import { startKafka } from './start.ts'
import type { KafkaCluster } from './start.ts'

const HELP = `A real Apache Kafka (KRaft) on 127.0.0.1, for development and tests. Needs Java 17 and Maven.

  npm run kafka -- [options]

  --brokers 1|3     how many brokers form the cluster (1)
  --port N          port of the first broker; the others have the next ones (9092)
  --data-dir PATH   keep the data there; without it, it is gone at the end
  --help            this text

It prints the line to give to Tidemark and stays up; Ctrl-C stops all of it. In another shell:

  TIDEMARK_LOG=kafka TIDEMARK_KAFKA_BROKERS=127.0.0.1:9092 TIDEMARK_DEV=1 npm start
  TIDEMARK_KAFKA_BROKERS=127.0.0.1:9092 npm test

KAFKA_LOG_LEVEL=info lets the brokers say more, into broker-N/broker.out of the data folder.
`

interface Arguments {
  readonly brokers: 1 | 3
  readonly port: number
  readonly dataDir: string | undefined
}

class UsageError extends Error {}

function readArguments(): Arguments | 'help' {
  const { values } = parse()
  if (values.help) return 'help'
  if (values.brokers !== '1' && values.brokers !== '3') {
    throw new UsageError(`--brokers is 1 or 3, not ${values.brokers}`)
  }
  const port = Number(values.port)
  if (!Number.isInteger(port) || port < 1 || port > 65_530) {
    throw new UsageError(`--port is a number from 1 to 65530, not ${values.port}`)
  }
  return { brokers: values.brokers === '1' ? 1 : 3, port, dataDir: values['data-dir'] }
}

function parse() {
  try {
    return parseArgs({
      options: {
        brokers: { type: 'string', default: '1' },
        port: { type: 'string', default: '9092' },
        'data-dir': { type: 'string' },
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
  const { brokers, port, dataDir } = args
  let cluster: KafkaCluster | undefined = undefined
  let stopping = false
  const stop = (): void => {
    // A start that is under way ends with this process: see watchdog.ts.
    if (cluster === undefined || stopping) process.exit(130)
    stopping = true
    console.error('stopping …')
    void cluster.stop().then(() => process.exit(0))
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)

  const began = performance.now()
  cluster = await startKafka({
    brokers,
    port,
    longRun: true,
    ...(dataDir === undefined ? {} : { dataDir }),
  })
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.error(
    `Kafka is up after ${seconds} s; data in ${cluster.dataDir}${dataDir === undefined ? ' (removed at the end)' : ''}`,
  )
  console.log(`TIDEMARK_KAFKA_BROKERS=${cluster.bootstrap.join(',')}`)
  // Brokers do not keep this process alive by themselves when they are stopped; this does.
  setInterval(() => undefined, 1 << 30)
}

main().catch((error: unknown) => {
  const usage = error instanceof UsageError
  console.error(error instanceof Error ? error.message : error)
  if (usage) console.error('See npm run kafka -- --help')
  process.exit(usage ? 2 : 1)
})
