/** The worlds that kill points are tried in: the embedded log, snapshots in S3, a real Kafka. Those that need a server start it, once. */
import { createServer, request } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../../infra/kafka/ports.ts'
import { startKafka } from '../../infra/kafka/start.ts'
import { s3Server } from '../../infra/s3/binary.ts'
import { credentials, startS3 } from '../../infra/s3/with-s3.ts'
import { createSnapshot, trimLog } from '../../services/cli/snapshot-create.ts'
import { must } from '../../streams/core/assert.ts'
import { openS3Store } from '../../streams/snapshot/s3-store.ts'
import type { World } from './hunt.ts'
import { begin, ready, type Life } from './life.ts'
import { DOOMED, EMBEDDED, expectNoCopy, fill, firstStart, keyspaces, stop, writes } from './scenarios.ts'
import { over, snapshotAndTrim, type Scenario } from './scenarios.ts'
import type { Stage } from './stage.ts'

export interface RunningWorld extends World {
  end(): Promise<void>
}

export const embeddedWorld = (): RunningWorld => ({
  kind: 'embedded',
  scenarios: EMBEDDED,
  outside: () => Promise.resolve({}),
  end: () => Promise.resolve(),
})

// ---- S3 ----

/** Copies of more than one part. */
const large: Scenario = {
  name: 'snapshots in S3',
  partitions: 1,
  async prepare(stage) {
    if (stage.done.has('filled')) return
    await stage.peace(() => fill(stage, 20))
    stage.done.add('filled')
  },
  async act(stage, life) {
    const quiet = { onProgress: () => undefined, onTrouble: () => undefined }
    await expectNoCopy(stage, DOOMED)
    await createSnapshot(stage.address, 1, quiet)
    await stage.ledger.write(8, over(life))
    await createSnapshot(stage.address, 1, quiet)
    await trimLog(stage.address, false, quiet)
  },
}

export async function s3World(): Promise<RunningWorld> {
  const server = await startS3(await s3Server())
  const bucket = 'kill-points'
  await mkdir(join(server.folder, 'buckets', bucket))
  const proxy = await refusing(server.endpoint)
  return {
    kind: 's3',
    scenarios: [large],
    outside() {
      const prefix = randomBytes(5).toString('hex')
      const store = openS3Store({ bucket, prefix, endpoint: server.endpoint, credentials })
      const settings = {
        TIDEMARK_SNAPSHOT_URL: `s3://${bucket}/${prefix}`,
        TIDEMARK_SNAPSHOT_S3_ENDPOINT: proxy.endpoint,
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      }
      return Promise.resolve({ snapshots: { store, settings } })
    },
    async end() {
      proxy.end()
      await server.stop()
    },
  }
}

/** A way to the S3 server on which the second part of a doomed copy is refused. */
async function refusing(endpoint: string): Promise<{ readonly endpoint: string; end(): void }> {
  const target = new URL(endpoint)
  const server = createServer((incoming, outgoing) => {
    if (incoming.url?.includes(DOOMED) === true && incoming.url.includes('partNumber=2')) {
      incoming.resume()
      outgoing.writeHead(400).end()
      return
    }
    const { method, url, headers } = incoming
    const passed = request(
      { host: target.hostname, port: target.port, method, path: url, headers },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(outgoing)
      },
    )
    passed.on('error', () => outgoing.destroy())
    incoming.on('error', () => passed.destroy())
    incoming.pipe(passed)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `http://127.0.0.1:${port}`,
    end() {
      server.close()
      server.closeAllConnections()
    },
  }
}

// ---- Kafka ----

/** Milliseconds until a dead peer has been put out. */
const EVICTED_MS = 5000
/** Milliseconds that the broker stands still: longer than a question to it may take, and than what looks for it waits. */
const STILL_MS = 3500

const killed: Scenario = {
  name: 'start after a kill',
  async prepare(stage) {
    const life = stage.serve('')
    await ready(life, stage.httpAddress)
    await life.stop('SIGKILL')
  },
}

const peerDies: Scenario = {
  name: 'a peer dies',
  async act(stage, life) {
    const [port = 0, httpPort = 0] = await freePorts(2)
    const settings = {
      ...stage.settings,
      TIDEMARK_NODE_ID: 'peer',
      TIDEMARK_DATA_DIR: join(stage.root, 'peer'),
      TIDEMARK_GRPC_LISTEN: `127.0.0.1:${port}`,
      TIDEMARK_HTTP_LISTEN: `127.0.0.1:${httpPort}`,
    }
    const peer = begin(['serve'], settings, '')
    try {
      await ready(peer, `127.0.0.1:${httpPort}`)
    } finally {
      await peer.stop('SIGKILL')
    }
    await Promise.race([life.ended, sleep(EVICTED_MS)])
  },
}

const trims: Scenario = {
  name: 'snapshots and trim',
  async act(stage, life) {
    await stage.ledger.write(40, over(life))
    await snapshotAndTrim(stage, life)
  },
}

const brokerStands = (pid: () => number): Scenario => ({
  name: 'the broker stands still',
  async act(stage: Stage, life: Life) {
    process.kill(pid(), 'SIGSTOP')
    try {
      const read = stage.mortally((db) => db.get('count-0', { deadlineMs: STILL_MS }))
      await Promise.race([read.catch(() => undefined), life.ended])
    } finally {
      process.kill(pid(), 'SIGCONT')
    }
    await Promise.race([life.ended, sleep(1000)])
  },
})

export async function kafkaWorld(): Promise<RunningWorld> {
  const kafka = await startKafka({ longRun: true })
  const pid = (): number => must(kafka.brokers[0]?.pid, 'the process of the broker')
  return {
    kind: 'kafka',
    scenarios: [writes, stop, keyspaces, trims, killed, firstStart, peerDies, brokerStands(pid)],
    outside: () => Promise.resolve({ brokers: kafka.bootstrap }),
    end: () => kafka.stop(),
  }
}
