/** One broker in a container of the image `apache/kafka`, where there is Docker but no Java. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { KafkaBroker } from './broker.ts'
import { freePorts } from './ports.ts'
import { brokerSettings } from './properties.ts'
import type { KafkaCluster } from './start.ts'
import { guard, unguard } from './watchdog.ts'

const IMAGE = 'apache/kafka:4.3.1'
const START_MS_MAX = 120_000
const POLL_MS = 200

const run = promisify(execFile)
const docker = async (...args: string[]): Promise<string> => (await run('docker', args)).stdout.trim()

/** True where a Docker daemon answers. */
export const hasDocker = (): Promise<boolean> =>
  docker('version', '--format', '{{.Server.Version}}').then(
    (version) => version !== '',
    () => false,
  )

export async function startKafkaInDocker(): Promise<KafkaCluster> {
  const [port = 0, controllerPort = 0] = await freePorts(2)
  const address = { id: 1, port, controllerPort }
  const name = `tidemark-kafka-${randomBytes(6).toString('hex')}`
  const settings = brokerSettings(address, [address], '/tmp/kafka-log', {
    // Inside the container loopback is another one; Docker publishes the port on loopback of the host only.
    listeners: `PLAINTEXT://0.0.0.0:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
  })
  // The image makes `a.b` of KAFKA_A_B; it formats the storage itself.
  const env = Object.entries(settings).flatMap(([key, value]) => [
    '--env',
    `KAFKA_${key.toUpperCase().replaceAll('.', '_')}=${value}`,
  ])
  guard('container', name)
  await docker('create', '--name', name, '--publish', `127.0.0.1:${port}:${port}`, ...env, IMAGE)

  let pid: number | undefined
  const broker: KafkaBroker = {
    id: 1,
    port,
    get pid() {
      return pid
    },
    async start() {
      const since = new Date().toISOString()
      await docker('start', name)
      await untilUp(name, since)
      pid = Number(await docker('inspect', '--format', '{{.State.Pid}}', name))
    },
    async stop(signal = 'SIGTERM') {
      if (signal === 'SIGKILL') await docker('kill', name)
      else await docker('stop', '--time', '30', name)
      pid = undefined
    },
  }
  const stop = async (): Promise<void> => {
    await docker('rm', '--force', '--volumes', name)
    unguard('container', name)
  }
  try {
    await broker.start()
  } catch (error) {
    await stop()
    throw error
  }
  return { bootstrap: [`127.0.0.1:${port}`], brokers: [broker], dataDir: '', stop }
}

async function untilUp(name: string, since: string): Promise<void> {
  const deadline = performance.now() + START_MS_MAX
  for (;;) {
    const { stdout, stderr } = await run('docker', ['logs', '--since', since, name])
    if (stdout.includes('Kafka Server started')) return
    const running = await docker('inspect', '--format', '{{.State.Running}}', name)
    if (running !== 'true' || performance.now() > deadline) {
      throw new Error(`Kafka did not start in the container ${name}:\n${`${stdout}${stderr}`.slice(-4000)}`)
    }
    await sleep(POLL_MS)
  }
}
