/** One production node, on the simulated log and disk, and on a real Kafka and RocksDB. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { must } from '../../streams/core/assert.ts'
import { textToBytes } from '../../streams/core/bytes.ts'
import { APPEND_LANES } from '../../streams/core/limits.ts'
import type { Prng } from '../../streams/core/testing/prng.ts'
import { offset, type NewRecord, type Partition } from '../../streams/core/types.ts'
import type { TidemarkNode } from '../../streams/face.ts'
import { openKafkaLog } from '../../streams/log/kafka/log.ts'
import type { Log } from '../../streams/log/log.ts'
import { singleMembership } from '../../streams/membership/single.ts'
import { newMeters } from '../../streams/meters.ts'
import { openNode } from '../../streams/node.ts'
import type { Clock, Telemetry } from '../../streams/ports.ts'
import { appendTime } from '../../streams/sim/broker-partition.ts'
import { Connection, noFaults } from '../../streams/sim/connection.ts'
import { SimulatedDisk } from '../../streams/sim/disk.ts'
import type { ForeignCall } from '../../streams/sim/history.ts'
import { SimulatedKafka } from '../../streams/sim/kafka.ts'
import { openSimulatedLog } from '../../streams/sim/log.ts'
import { NodeClock } from '../../streams/sim/node-clock.ts'
import { newLife, World, type Life } from '../../streams/sim/world.ts'
import { openStore } from '../../streams/store/rocksdb.ts'
import type { Store } from '../../streams/store/store.ts'
import { systemClock } from '../../streams/system.ts'
import { settleIn } from './log-sides.ts'
import { NODE_PARTITIONS, type NodeSide } from './node-trace.ts'

/** The log time of each record, by partition and offset. */
export type Stamps = readonly ReadonlyMap<number, number>[]

const SMALL = { memtableBytes: 1 << 20, cacheBytes: 1 << 20 }

const quiet = (): Telemetry => ({
  meters: newMeters(),
  stopped: () => undefined,
  trouble: () => undefined,
  recovered: () => undefined,
})

interface Parts {
  readonly cluster: string
  readonly log: Log
  readonly store: Store
  readonly clock: Clock
  readonly random: Prng
}

const openOn = ({ random, ...parts }: Parts): Promise<TidemarkNode> =>
  openNode({
    ...parts,
    nodeId: 'n1',
    zone: '',
    logKind: 'kafka',
    membership: singleMembership(),
    random: { id: (bytes) => random.bytes(bytes).toString('base64url') },
    telemetry: quiet(),
    partitions: NODE_PARTITIONS,
    replication: 1,
    dev: true,
  })

function recordOf({ key, value, headers }: ForeignCall): NewRecord {
  const bytes = (text: string | null): Uint8Array | null => (text === null ? null : textToBytes(text))
  return {
    key: bytes(key),
    value: bytes(value),
    headers: new Map(Object.entries(headers).map(([name, text]) => [name, textToBytes(text)])),
  }
}

/** @param stamps - the times that its records shall have; undefined: those of its own world */
export function simulatedNodeSide(seed: number, stamps?: Stamps): NodeSide {
  const world = new World({ seed })
  const kafka = new SimulatedKafka(world)
  kafka.faults.replicationMs = 2
  const topic = 'reality.default'
  if (stamps !== undefined)
    kafka.stamps = (partition) => {
      const at = kafka.topic(topic)?.partitions.indexOf(partition) ?? -1
      return stamps[at]?.get(partition.logEnd)
    }
  const disk = new SimulatedDisk()
  let life: Life | undefined
  let elapsed = 0
  return {
    clock: {
      elapsed: () => elapsed,
      async pass(ms) {
        await world.sleep(ms)
        elapsed += ms
      },
    },
    settle: settleIn(world),
    rest: () => settleIn(world)(world.sleep(5)),
    open(random) {
      if (life !== undefined) life.alive = false
      life = newLife('n1')
      const inner = new NodeClock(world, life)
      const clock: Clock = {
        now: () => elapsed,
        elapsed: () => elapsed,
        sleep: (ms) => inner.sleep(ms),
        every: (ms, callback) => inner.every(ms, callback),
      }
      const connection = new Connection(world, life, { ...noFaults(), delayMs: [0.1, 3] })
      return openOn({
        cluster: 'reality',
        log: openSimulatedLog(kafka, connection, APPEND_LANES),
        store: disk.open(life),
        clock,
        random,
      })
    },
    produce(call) {
      const partition = must(kafka.partition(topic, call.partition as Partition), 'the partition')
      const at = must(partition.append([recordOf(call)], appendTime(kafka.timeOf(partition))), 'a place')
      kafka.stir(partition)
      return new Promise((resolve) => {
        partition.whenKept(at + 1, () => {
          resolve(at)
        })
      })
    },
  }
}

export interface RealNodeSide extends NodeSide {
  /** The times of all records. */
  stamps(): Promise<Stamps>
  close(): Promise<void>
}

/** @param stranger - another connection to the same Kafka */
export async function realNodeSide(
  bootstrap: readonly string[],
  stranger: Log,
  cluster: string,
): Promise<RealNodeSide> {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-reality-'))
  const topic = `${cluster}.default`
  let elapsed = 0
  const clock: Clock = { ...systemClock, now: () => elapsed, elapsed: () => elapsed }
  return {
    clock: {
      elapsed: () => elapsed,
      async pass(ms) {
        // Timers may be early by a fraction.
        await new Promise((resolve) => setTimeout(resolve, ms + 2))
        elapsed += ms
      },
    },
    settle: (promise) => promise,
    rest: () => new Promise((resolve) => setTimeout(resolve, 5)),
    async open(random) {
      const telemetry = quiet()
      const log = await openKafkaLog({ brokers: bootstrap, clientId: 'n1', dev: true, telemetry })
      return openOn({ cluster, log, store: await openStore(join(root, 'store'), SMALL), clock, random })
    },
    async produce(call) {
      const partition = call.partition as Partition
      const [place] = await stranger.append(call.partition % stranger.lanes, [
        { topic, partition, records: [recordOf(call)] },
      ])
      return must(place, 'a place').firstOffset
    },
    async stamps() {
      const found = must(await stranger.describeTopic(topic), 'the topic')
      return Promise.all(
        Array.from({ length: NODE_PARTITIONS }, async (_, at) => {
          const times = new Map<number, number>()
          const { end } = await stranger.offsets(topic, at as Partition)
          const reader = stranger.read(topic, at as Partition, offset(0), found)
          for (let next = 0; next < end;) {
            const batch = await reader.next()
            for (const one of batch.records) times.set(one.offset, one.time)
            next = batch.nextOffset
          }
          reader.close()
          return times
        }),
      )
    },
    async close() {
      await stranger.deleteTopic(topic)
      await rm(root, { recursive: true, force: true })
    },
  }
}
