/** Rounds of the workloads, node and ceiling in turns; only processor time counts, not how long it took. */
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { NoJava } from '../../infra/kafka/jars.ts'
import { startKafka } from '../../infra/kafka/start.ts'
import { KeyValueServiceClient } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { measure } from '../../services/cli/measure.ts'
import { source } from '../../services/cli/workload.ts'
import { connect, type Tidemark } from '../../services/client/index.ts'
import { echoClient } from '../bench/echo.ts'
import { type NodeProcess, startNode } from '../bench/node-process.ts'
import { type Ceilings, startCeilings } from './ceilings.ts'
import type { Costs } from './judge.ts'

const ROWS = { keys: 50_000, valueBytes: 100 }
const IN_FLIGHT = 1024
const UNARY_IN_FLIGHT = 64
const BATCH_KEYS = 256

/** So many that each side works for some tenths of a second. */
const OPERATIONS = { unary: 3000, puts: 40_000, gets: 60_000, raw: 200_000, packs: 200_000 }

interface Side {
  readonly node: NodeProcess
  readonly db: Tidemark
}

/** A node on each log, and the ceilings, which stay up for as many tries as it takes. */
export interface Bench {
  /** Whether there is a broker. */
  readonly kafka: boolean
  /** So many more rounds: what they cost, by workload, all rounds so far. */
  rounds(count: number): Promise<Readonly<Record<string, Costs>>>
  close(): Promise<void>
}

export async function openBench(say: (sentence: string) => void): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-budget-'))
  const closing: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })]
  const close = async (): Promise<void> => {
    for (const step of closing.reverse()) await step()
  }
  try {
    const brokers = await startBroker(folder, closing, say)
    const side = async (name: string, settings: Readonly<Record<string, string>>): Promise<Side> => {
      const node = await startNode({ TIDEMARK_DATA_DIR: join(folder, name), ...settings })
      closing.push(node.stop)
      const db = connect({ server: node.server, deadlineMs: 60_000 })
      closing.push(db.close)
      const next = source(ROWS)
      const plan = { name: 'load', ms: Infinity, loops: IN_FLIGHT, calls: ROWS.keys }
      await measure(plan, () => db.put(next.key(), next.value()))
      return { node, db }
    }
    const embedded = await side('embedded', {})
    const onKafka =
      brokers.length === 0
        ? undefined
        : await side('kafka', {
            TIDEMARK_LOG: 'kafka',
            TIDEMARK_KAFKA_BROKERS: brokers.join(','),
            TIDEMARK_REPLICATION: '1',
            TIDEMARK_DEV: '1',
          })
    const ceilings = await startCeilings({ folder, brokers, ...ROWS })
    closing.push(ceilings.close)
    const works = workloads(embedded, onKafka, ceilings)
    closing.push(works.close)
    // Caches fill and compilers compile.
    await runRounds(1, works.each, () => undefined)
    const costs: Record<string, { ceiling: number[]; node: number[] }> = {}
    return {
      kafka: onKafka !== undefined,
      async rounds(count) {
        await runRounds(count, works.each, (name, ceiling, node) => {
          const own = (costs[name] ??= { ceiling: [], node: [] })
          own.ceiling.push(ceiling)
          own.node.push(node)
          say(`${name}: ${ceiling.toFixed(2)} of ${node.toFixed(2)} us`)
        })
        return costs
      },
      close,
    }
  } catch (caught) {
    await close()
    throw caught
  }
}

async function startBroker(
  folder: string,
  closing: (() => unknown)[],
  say: (sentence: string) => void,
): Promise<readonly string[]> {
  try {
    const kafka = await startKafka({ dataDir: join(folder, 'broker'), longRun: true })
    closing.push(kafka.stop)
    return kafka.bootstrap
  } catch (error) {
    if (!(error instanceof NoJava)) throw error
    say(`without Kafka: ${error.message}`)
    return []
  }
}

/** Microseconds of processor time for one operation: of the ceiling, and of the node. */
interface Work {
  readonly name: string
  ceiling(): Promise<number>
  node(): Promise<number>
}

async function runRounds(
  count: number,
  works: readonly Work[],
  hear: (name: string, ceiling: number, node: number) => void,
): Promise<void> {
  for (let round = 0; round < count; round += 1)
    for (const { name, ceiling, node } of works) hear(name, await ceiling(), await node())
}

function workloads(
  embedded: Side,
  onKafka: Side | undefined,
  ceilings: Ceilings,
): { each: Work[]; close: () => void } {
  const echo = echoClient(ceilings.echoPort)
  const unary = new KeyValueServiceClient(embedded.node.server, credentials.createInsecure())
  const next = source(ROWS)
  const nodeMicros = async ({ node: { pid } }: Side, plan: Load, call: () => Promise<unknown>) => {
    const before = await cpuMicros(pid)
    const { operations } = await measure({ name: '', ms: Infinity, ...plan }, call)
    return ((await cpuMicros(pid)) - before) / operations
  }
  const calls = { loops: UNARY_IN_FLIGHT, calls: OPERATIONS.unary }
  const echoMicros = async (): Promise<number> => {
    const before = await ceilings.cpu()
    const { operations } = await measure({ name: '', ms: Infinity, ...calls }, echo.call)
    return ((await ceilings.cpu()) - before) / operations
  }
  const puts = (side: Side) => (): Promise<number> =>
    nodeMicros(side, { loops: IN_FLIGHT, calls: OPERATIONS.puts }, () =>
      side.db.put(next.key(), next.value()),
    )
  const gets = (side: Side) => (): Promise<number> =>
    nodeMicros(side, { loops: 4, weight: BATCH_KEYS, calls: OPERATIONS.gets / BATCH_KEYS }, () =>
      side.db.getMany(next.keys(BATCH_KEYS), { consistency: 'eventual' }),
    )
  const rawPuts = (): Promise<number> => ceilings.put(OPERATIONS.raw)
  const each: Work[] = [
    {
      name: 'unary get, of an empty echo',
      ceiling: echoMicros,
      node: () => nodeMicros(embedded, calls, () => unaryGet(unary, next.key())),
    },
    { name: 'puts on the embedded log, of RocksDB', ceiling: rawPuts, node: puts(embedded) },
    { name: 'getMany, of RocksDB', ceiling: () => ceilings.get(OPERATIONS.raw), node: gets(embedded) },
  ]
  if (onKafka !== undefined)
    each.push({
      name: 'puts on Kafka, of kafkajs and RocksDB',
      // A put is both: sent to the log, and written to the store.
      ceiling: async () => (await ceilings.packs(OPERATIONS.packs)) + (await rawPuts()),
      node: puts(onKafka),
    })
  return {
    each,
    close() {
      echo.close()
      unary.close()
    },
  }
}

interface Load {
  readonly loops: number
  readonly calls: number
  readonly weight?: number
}

const unaryGet = (client: KeyValueServiceClient, key: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const request = {
      keyspace: '',
      key: Buffer.from(key),
      consistency: 1,
      token: undefined,
      asOf: undefined,
    } as const
    client.get(request, new Metadata(), {}, (error: ServiceError | null) => {
      if (error === null) resolve()
      else reject(error)
    })
  })

/** Of all its threads, to the nanosecond (proc_pid_schedstat: the first number); times of a process come in hundredths of a second. */
async function cpuMicros(pid: number): Promise<number> {
  const folder = `/proc/${pid}/task`
  const spent = (await readdir(folder)).map(async (thread) =>
    Number((await readFile(join(folder, thread, 'schedstat'), 'utf8').catch(() => '0')).split(' ')[0]),
  )
  return (await Promise.all(spent)).reduce((sum, nanos) => sum + nanos, 0) / 1000
}
