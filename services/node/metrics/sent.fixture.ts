/** A real node with something to tell, what it sent to an agent and showed on /metrics. */
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSnapshot } from '../../cli/snapshot-create.ts'
import { connect } from '../../client/connect.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import { type NodeProcess, startNode } from '../process.fixture.ts'

const LOOK_MS = 200
const TRIES_MAX = 100

export interface Heard {
  /** Names in DogStatsD. */
  readonly sent: ReadonlySet<string>
  /** The text of /metrics. */
  readonly shown: string
}

/** Starts a node, uses it a little, ends it. @param settings - of the log */
export async function hearNode(settings: Readonly<Record<string, string>>): Promise<Heard> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-metrics-'))
  const agent = createSocket('udp4')
  const sent = new Set<string>()
  agent.on('message', (packet) => {
    for (const line of packet.toString().split('\n')) sent.add(line.split(':', 1)[0] ?? '')
  })
  agent.bind(0, '127.0.0.1')
  await once(agent, 'listening')
  const all = {
    TIDEMARK_DATA_DIR: join(folder, 'data'),
    TIDEMARK_SNAPSHOT_URL: `file://${join(folder, 'snapshots')}`,
    TIDEMARK_PARTITIONS: '2',
    DD_DOGSTATSD_URL: `udp://127.0.0.1:${addressOf(agent)}`,
    ...settings,
  }
  let running: NodeProcess | undefined
  try {
    running = await startNode(all)
    await use(running)
    await running.end('SIGTERM')
    // The next one finds the snapshot.
    running = await startNode(all)
    await use(running)
    const shown = await showing(running, 'tidemark_snapshot_last_age_seconds{')
    await running.end('SIGTERM')
    return { sent, shown }
  } finally {
    await running?.end('SIGKILL')
    agent.close()
    await rm(folder, { recursive: true, force: true })
  }
}

const addressOf = (socket: Socket): number => socket.address().port

async function use({ address }: NodeProcess): Promise<unknown> {
  const client = connect({ server: address })
  await client.put('a', '1')
  await client.get('a')
  await client.close()
  // The map comes after the node is ready; until then nobody is known to serve.
  for (let tries = 1; ; tries += 1) {
    try {
      return await createSnapshot(address, 0, { onProgress: () => undefined, onTrouble: () => undefined })
    } catch (caught) {
      if (TidemarkError.from(caught).reason !== 'PARTITION_RESTORING' || tries === TRIES_MAX) throw caught
      await sleep(LOOK_MS)
    }
  }
}

async function showing({ httpAddress }: NodeProcess, text: string): Promise<string> {
  for (;;) {
    const response = await fetch(`http://${httpAddress}/metrics`)
    const shown = await response.text()
    if (shown.includes(text)) return shown
    await sleep(LOOK_MS)
  }
}
