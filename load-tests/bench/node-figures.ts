/** What a node does, on one kind of log. */
import { setTimeout as sleep } from 'node:timers/promises'
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import { KeyValueServiceClient } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { connect, type Tidemark } from '../../services/client/index.ts'
import { measure } from '../../services/cli/measure.ts'
import { source, type Source } from '../../services/cli/workload.ts'
import { ECHO } from './echo.ts'
import type { Figure, Figures } from './figures.ts'
import type { NodeProcess } from './node-process.ts'
import { AIM, BATCH_KEYS, IN_FLIGHT, UNARY_IN_FLIGHT, type Settings } from './settings.ts'

export interface Aims {
  readonly puts: Figure['target']
  readonly putMs?: Figure['target']
}

/** Milliseconds of rest before an idle node's memory counts. */
const IDLE_MS = 3000
/** Connections of the writer that is faster than the disk, and bytes of its values. */
const FAST_CONNECTIONS = 8
const FAST_VALUE_BYTES = 1024

export async function nodeFigures(
  figures: Figures,
  log: string,
  node: NodeProcess,
  settings: Settings,
  aims: Aims,
): Promise<void> {
  await sleep(IDLE_MS)
  figures.add({ name: `${log}: memory, idle`, value: await node.rssMiB(), unit: 'MiB', target: AIM.idleMiB })
  const db = connect({ server: node.server, deadlineMs: 60_000 })
  try {
    await pipelined(figures, log, db, settings, aims)
    await oneByOne(figures, log, db, settings, aims)
    figures.add({ name: `${log}: memory, peak so far`, value: node.peakRssMiB(), unit: 'MiB' })
  } finally {
    await db.close()
  }
  await unary(figures, log, node.server, settings)
  await fastWriter(figures, log, node, settings)
}

async function pipelined(
  figures: Figures,
  log: string,
  db: Tidemark,
  settings: Settings,
  aims: Aims,
): Promise<void> {
  const { ms, keys, hotKeys, valueBytes } = settings
  const all = source({ keys, valueBytes })
  const hot = source({ keys: hotKeys, valueBytes })
  const put = (next: Source) => () => db.put(next.key(), next.value())
  await measure({ name: 'warm-up', ms: ms / 3, loops: IN_FLIGHT }, put(hot))
  // Every key once, however long it takes: the rows that the reads below find.
  const each = { ms: Infinity, loops: IN_FLIGHT, calls: keys }
  figures.rate(`${log}: puts, new keys`, await measure({ ...each, name: 'put' }, put(all)), {
    target: aims.puts,
  })
  figures.rate(`${log}: puts, all keys again`, await measure({ name: 'put', ms, loops: IN_FLIGHT }, put(all)))
  figures.rate(
    `${log}: puts, ${hotKeys} hot keys`,
    await measure({ name: 'put', ms, loops: IN_FLIGHT }, put(hot)),
  )
  for (const consistency of ['linearizable', 'eventual'] as const) {
    const get = (next: Source) => () => db.get(next.key(), { consistency })
    const getMany = (): Promise<unknown> => db.getMany(all.keys(BATCH_KEYS), { consistency })
    const single = { name: 'get', ms, loops: IN_FLIGHT }
    figures.rate(`${log}: gets, ${consistency}`, await measure(single, get(all)), { target: AIM.gets })
    figures.rate(`${log}: gets, hot keys, ${consistency}`, await measure(single, get(hot)), {
      target: AIM.gets,
    })
    const batches = { name: 'getMany', ms, loops: 4, weight: BATCH_KEYS }
    figures.rate(`${log}: getMany keys, ${consistency}`, await measure(batches, getMany), {
      target: AIM.gets,
      ceiling: 'RocksDB getMany',
    })
  }
}

async function oneByOne(
  figures: Figures,
  log: string,
  db: Tidemark,
  { ms, keys, valueBytes }: Settings,
  aims: Aims,
): Promise<void> {
  const next = source({ keys, valueBytes })
  const put = await measure({ name: 'put', ms, loops: 1 }, () => db.put(next.key(), next.value()))
  figures.add({
    name: `${log}: one put at a time, p50`,
    value: put.p50Ms,
    unit: 'ms',
    ...(aims.putMs === undefined ? {} : { target: aims.putMs }),
    more: { p50Ms: put.p50Ms, p99Ms: put.p99Ms, maxMs: put.maxMs },
  })
  const get = await measure({ name: 'get', ms, loops: 1 }, () => db.get(next.key()))
  const { p50Ms, p99Ms, maxMs } = get
  figures.add({
    name: `${log}: one get at a time, p50`,
    value: p50Ms,
    unit: 'ms',
    more: { p50Ms, p99Ms, maxMs },
  })
}

/** The generated client against the echo of the same run: the share says what the node adds to a call. */
async function unary(figures: Figures, log: string, server: string, settings: Settings): Promise<void> {
  const { ms, keys, valueBytes } = settings
  const client = new KeyValueServiceClient(server, credentials.createInsecure())
  const metadata = new Metadata()
  const next = source({ keys, valueBytes })
  const base = { keyspace: '', token: undefined }
  type Done = (error: ServiceError | null) => void
  const promised = (call: (done: Done) => unknown) => (): Promise<void> =>
    new Promise((resolve, reject) => {
      call((error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
  const get = (consistency: 1 | 3): (() => Promise<void>) =>
    promised((done) =>
      client.get({ ...base, key: Buffer.from(next.key()), consistency, asOf: undefined }, metadata, {}, done),
    )
  const write = { ...base, requestId: '', contentType: '', durability: 0 } as const
  const put = promised((done) =>
    client.put({ ...write, key: Buffer.from(next.key()), value: next.value() }, metadata, {}, done),
  )
  const plan = { name: 'unary', ms, loops: UNARY_IN_FLIGHT }
  await measure({ ...plan, ms: ms / 3 }, get(3))
  const echo = figures.value(ECHO)
  const share = async (name: string, call: () => Promise<void>, target?: Figure['target']): Promise<void> => {
    const measured = await measure(plan, call)
    figures.rate(`${log}: unary ${name}`, measured, { ceiling: ECHO })
    if (echo === undefined) return
    const value = (100 * measured.perSecond) / echo
    figures.add({
      name: `${log}: unary ${name}, of the echo`,
      value,
      unit: '%',
      ...(target === undefined ? {} : { target }),
    })
  }
  await share('get, eventual', get(1), AIM.unaryGetShare)
  await share('get, linearizable', get(3))
  await share('put', put, AIM.unaryPutShare)
  client.close()
}

/** More than the log can take, for a while: the node's memory must find its bound. */
async function fastWriter(
  figures: Figures,
  log: string,
  node: NodeProcess,
  settings: Settings,
): Promise<void> {
  const db = connect({ server: node.server, deadlineMs: 120_000, connections: FAST_CONNECTIONS })
  try {
    const next = source({ keys: settings.keys, valueBytes: FAST_VALUE_BYTES })
    const put = (): Promise<unknown> => db.put(next.key(), next.value())
    const plan = { name: 'put', ms: settings.ms, loops: FAST_CONNECTIONS * IN_FLIGHT }
    node.peakRssMiB()
    const peaks: number[] = []
    for (let round = 0; round < 3; round += 1) {
      const measured = await measure(plan, put)
      peaks.push(node.peakRssMiB())
      if (round === 2) figures.rate(`${log}: puts of 1 KiB, 8 connections`, measured)
    }
    const [first = 0, , last = 0] = peaks
    figures.add({ name: `${log}: memory under a fast writer`, value: Math.max(...peaks), unit: 'MiB' })
    figures.add({
      name: `${log}: the same, growth from first to last third`,
      value: last - first,
      unit: 'MiB',
    })
  } finally {
    await db.close()
  }
}
