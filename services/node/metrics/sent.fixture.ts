/** A real node with something to tell, what it sent to an agent and showed on /metrics. */
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSnapshot } from '../../cli/snapshot-create.ts'
import { connect } from '../../client/connect.ts'
import { type NodeProcess, startNode } from '../process.fixture.ts'

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
  try {
    const first = await startNode(all)
    await use(first)
    await first.end('SIGTERM')
    // The next one finds the snapshot.
    const node = await startNode(all)
    await use(node)
    const shown = await showing(node, 'tidemark_snapshot_last_age_seconds{')
    await node.end('SIGTERM')
    return { sent, shown }
  } finally {
    agent.close()
    await rm(folder, { recursive: true, force: true })
  }
}

const addressOf = (socket: Socket): number => socket.address().port

async function use({ address }: NodeProcess): Promise<void> {
  const client = connect({ server: address })
  await client.put('a', '1')
  await client.get('a')
  await client.close()
  await createSnapshot(address, 0, { onProgress: () => undefined, onTrouble: () => undefined })
}

async function showing({ httpAddress }: NodeProcess, text: string): Promise<string> {
  for (;;) {
    const response = await fetch(`http://${httpAddress}/metrics`)
    const shown = await response.text()
    if (shown.includes(text)) return shown
    await sleep(200)
  }
}
