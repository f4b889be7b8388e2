/**
 * Where one kill point is tried: a data directory, addresses that stay, a place for snapshots, a log, and the ledger of what clients were
 * told. Lives of the node come and go on it.
 */
import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '../../infra/kafka/ports.ts'
import { guard, unguard } from '../../infra/kafka/watchdog.ts'
import { connect, type Tidemark } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { logTime } from '../../streams/core/types.ts'
import { openEmbeddedLog } from '../../streams/log/embedded/embedded-log.ts'
import { openKafkaLog } from '../../streams/log/kafka/log.ts'
import type { Log } from '../../streams/log/log.ts'
import { listSnapshots, verifySnapshot } from '../../streams/snapshot/snapshot.ts'
import type { SnapshotStore } from '../../streams/snapshot/snapshot-store.ts'
import { openDirectoryStore } from '../../streams/snapshot/directory-store.ts'
import { openStore } from '../../streams/store/rocksdb.ts'
import { Ledger } from './ledger.ts'
import { begin, ready, type Life } from './life.ts'
import { compareWithReplay } from './replay.ts'

/** What lies outside of the data directory. */
export interface Outside {
  /** Brokers; without them the log is the embedded one. */
  readonly brokers?: readonly string[]
  /** Where snapshots are; by default a folder of the stage. */
  readonly snapshots?: {
    readonly store: SnapshotStore
    readonly settings: Readonly<Record<string, string>>
  }
}

export interface StageOptions extends Outside {
  readonly partitions: number
}

/** Milliseconds for a call of a client that gives up. */
const CALL_MS = 30_000

export class Stage {
  readonly root: string
  readonly address: string
  readonly httpAddress: string
  readonly ledger: Ledger
  readonly snapshots: SnapshotStore
  /** Replicas that were compared with a fresh replay, in all. */
  compared = 0
  cluster = 'tidemark'
  /** What scenarios have prepared here once. */
  readonly done = new Set<string>()
  readonly #options: StageOptions

  private constructor(root: string, ports: readonly number[], options: StageOptions) {
    this.root = root
    this.address = `127.0.0.1:${must(ports[0], 'a port')}`
    this.httpAddress = `127.0.0.1:${must(ports[1], 'a port')}`
    this.#options = options
    this.snapshots = options.snapshots?.store ?? openDirectoryStore(join(root, 'snapshots'))
    this.ledger = new Ledger(this.address)
    this.#newCluster()
  }

  static async open(options: StageOptions): Promise<Stage> {
    const root = await mkdtemp(join(tmpdir(), 'tidemark-kill-points-'))
    guard('dir', root)
    return new Stage(root, await portsOfOurOwn(), options)
  }

  get data(): string {
    return join(this.root, 'data')
  }

  #newCluster(): void {
    if (this.#options.brokers !== undefined) this.cluster = `kill-${randomBytes(5).toString('hex')}`
  }

  get settings(): Readonly<Record<string, string>> {
    const { brokers, snapshots, partitions } = this.#options
    return {
      TIDEMARK_DATA_DIR: this.data,
      TIDEMARK_CLUSTER: this.cluster,
      TIDEMARK_GRPC_LISTEN: this.address,
      TIDEMARK_HTTP_LISTEN: this.httpAddress,
      TIDEMARK_PARTITIONS: String(partitions),
      ...(snapshots?.settings ?? { TIDEMARK_SNAPSHOT_URL: `file://${join(this.root, 'snapshots')}` }),
      ...(brokers === undefined ? {} : { TIDEMARK_LOG: 'kafka', TIDEMARK_KAFKA_BROKERS: brokers.join(',') }),
    }
  }

  /** With a client that gives up where the node dies. */
  async mortally<T>(work: (db: Tidemark) => Promise<T>): Promise<T> {
    const db = connect({ server: this.address, retryUnreachable: false, deadlineMs: CALL_MS })
    try {
      return await work(db)
    } finally {
      await db.close()
    }
  }

  serve(failpoint: string): Life {
    return begin(['serve'], this.settings, failpoint)
  }

  /** Lets a node live that nothing kills, does something with it, and ends it in peace. */
  async peace(work: (life: Life) => Promise<void>): Promise<void> {
    const life = this.serve('')
    if (!(await ready(life, this.httpAddress))) throw new Error('a node without a failpoint was killed')
    await work(life)
    await life.stop('SIGTERM')
  }

  /** Everything is gone, also what was acknowledged. */
  async wipe(): Promise<void> {
    await rm(this.data, { recursive: true, force: true })
    await rm(join(this.root, 'snapshots'), { recursive: true, force: true })
    this.done.clear()
    this.#newCluster()
    await this.ledger.forget()
  }

  async dropReplicas(): Promise<void> {
    await rm(join(this.data, 'replicas'), { recursive: true, force: true })
  }

  /** What clients and snapshots say while a node lives. */
  async faultsOfLife(over: () => boolean): Promise<readonly string[]> {
    return [...(await this.ledger.faults(over)), ...(await this.#faultsOfSnapshots())]
  }

  /** Nothing that is listed as a snapshot may be half of one. */
  async #faultsOfSnapshots(): Promise<readonly string[]> {
    const { complete, broken } = await listSnapshots(this.snapshots, this.cluster)
    const faults = broken.map(
      ({ snapshot, error }) => `snapshot ${snapshot} is listed, broken: ${error.message}`,
    )
    for (const manifest of complete)
      for (const { topic, partition, error } of await verifySnapshot(this.snapshots, manifest))
        faults.push(`snapshot ${manifest.snapshot} is damaged in ${topic}/${partition}: ${error.message}`)
    return faults
  }

  /** What the dead process left, compared with a fresh replay, on a copy: the next life finds it as it was left. */
  async faultsOfData(): Promise<readonly string[]> {
    const copy = join(this.root, 'copy')
    await rm(copy, { recursive: true, force: true })
    const copied = await cp(this.data, copy, { recursive: true }).then(
      () => true,
      // Killed before there was anything.
      () => false,
    )
    if (!copied) return []
    const log = await this.#openLog(join(copy, 'log'))
    const store = await openStore(join(copy, 'replicas'))
    try {
      const { faults, replicas } = await compareWithReplay(log, store, this.cluster, this.snapshots)
      this.compared += replicas
      return faults
    } finally {
      await store.close()
      await log.close()
      await rm(copy, { recursive: true, force: true })
    }
  }

  #openLog(directory: string): Promise<Log> {
    const { brokers } = this.#options
    if (brokers === undefined)
      return openEmbeddedLog({ directory, clock: () => logTime(Date.now()), sync: true })
    const telemetry = { trouble: () => undefined, recovered: () => undefined }
    return openKafkaLog({ brokers, dev: true, telemetry, clientId: 'kill-points' })
  }

  async close(): Promise<void> {
    await this.ledger.close()
    await rm(this.root, { recursive: true, force: true })
    unguard('dir', this.root)
  }
}

const given = new Set<number>()

/** Stages live side by side, and their nodes are dead now and then: a port is given once. */
async function portsOfOurOwn(): Promise<readonly number[]> {
  const ports = (await freePorts(given.size + 2)).filter((port) => !given.has(port)).slice(0, 2)
  for (const port of ports) given.add(port)
  return ports
}
