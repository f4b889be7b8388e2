/**
 * Loads a node with one workload by the client of a build: `node load.child.js DIST SERVER WORKLOAD OPERATIONS`, forked. Says `ready`
 * after a warm-up, waits for any message, and answers with what it measured.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import type * as Generated from '../../proto/generated/tidemark/v1/key_value_service.ts'
import type * as Client from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { WireReader } from '../../services/wire.ts'
import type { Done, Workload } from './workloads.ts'

const KEYS = 200_000
const VALUE_BYTES = 100
/** Values are pieces of it: what cannot be compressed is the worst case. */
const RANDOM = randomBytes(4096 + VALUE_BYTES)
const IN_FLIGHT = 1024
const UNARY_IN_FLIGHT = 100
const BATCH_KEYS = 256

const [dist = '', server = '', workload = '', count = ''] = process.argv.slice(2)
const operations = Number(count)

const load = async (path: string): Promise<unknown> => import(pathToFileURL(join(dist, path)).href)

let at = 0
const nextValue = (): Buffer => RANDOM.subarray(at % 4096, (at % 4096) + VALUE_BYTES)
const nextKey = (): string => `profile:${String((at = (at + 123_457) % KEYS)).padStart(12, '0')}`

async function inLoops(calls: number, loops: number, call: () => Promise<unknown>): Promise<void> {
  let left = calls
  const loop = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await call()
    }
  }
  await Promise.all(Array.from({ length: loops }, loop))
}

async function pipelined(): Promise<(calls: number) => Promise<unknown>> {
  const { connect } = (await load('services/client/index.js')) as typeof Client
  const db = connect({ server, deadlineMs: 60_000 })
  if (workload === 'put') return (calls) => inLoops(calls, IN_FLIGHT, () => db.put(nextKey(), nextValue()))
  const fill = IN_FLIGHT * Math.ceil(KEYS / IN_FLIGHT)
  await inLoops(fill, IN_FLIGHT, () => db.put(nextKey(), nextValue()))
  if (workload === 'get-many') {
    const keys = (): string[] => Array.from({ length: BATCH_KEYS }, nextKey)
    return (calls) => inLoops(calls / BATCH_KEYS, 4, () => db.getMany(keys(), { consistency: 'eventual' }))
  }
  return (calls) => inLoops(calls, IN_FLIGHT, () => db.get(nextKey(), { consistency: 'eventual' }))
}

async function unary(): Promise<(calls: number) => Promise<unknown>> {
  const { KeyValueServiceClient } = (await load(
    'proto/generated/tidemark/v1/key_value_service.js',
  )) as typeof Generated
  const client = new KeyValueServiceClient(server, credentials.createInsecure())
  const metadata = new Metadata()
  const promised = (call: (done: (error: ServiceError | null) => void) => unknown): Promise<void> =>
    new Promise((resolve, reject) => {
      call((error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
  const base = { keyspace: '', token: undefined }
  const write = { ...base, requestId: '', contentType: '', durability: 0 } as const
  const put = (): Promise<void> =>
    promised((done) =>
      client.put({ ...write, key: Buffer.from(nextKey()), value: nextValue() }, metadata, {}, done),
    )
  const get = (): Promise<void> =>
    promised((done) => {
      const request = { ...base, key: Buffer.from(nextKey()), consistency: 1, asOf: undefined } as const
      return client.get(request, metadata, {}, done)
    })
  return (calls) => inLoops(calls, UNARY_IN_FLIGHT, workload === 'unary-put' ? put : get)
}

const WATCHERS = 100
const PUT_EVERY_MS = 1

async function watched(): Promise<(calls: number) => Promise<unknown>> {
  const generated = (await load('proto/generated/tidemark/v1/key_value_service.js')) as typeof Generated
  const { KeyValueServiceClient, KeyValueServiceService, WatchRequest } = generated
  const client = new KeyValueServiceClient(server, credentials.createInsecure())
  const metadata = new Metadata()
  const { path, requestSerialize } = KeyValueServiceService.watch
  let delivered = 0
  let wake = (): void => undefined
  const started = Array.from({ length: WATCHERS }, async () => {
    const request = WatchRequest.fromPartial({})
    const call = client.makeServerStreamRequest(path, requestSerialize, countEvents, request, metadata)
    call.on('data', (events: number) => {
      delivered += events
      wake()
    })
    await once(call, 'data')
  })
  await Promise.all(started)
  const write = { keyspace: '', token: undefined, requestId: '', contentType: '', durability: 0 } as const
  return async (calls) => {
    const until = delivered + Math.round(calls / WATCHERS) * WATCHERS
    const puts = calls / WATCHERS
    // By the clock: a machine that is late catches up.
    const began = performance.now()
    let put = 0
    while (put < puts) {
      for (; put < puts && put * PUT_EVERY_MS <= performance.now() - began; put += 1) {
        const request = { ...write, key: Buffer.from(nextKey()), value: nextValue() }
        client.put(request, metadata, {}, () => undefined)
      }
      await sleep(PUT_EVERY_MS)
    }
    while (delivered < until) await new Promise<void>((resolve) => (wake = resolve))
  }
}

/** Of a WatchResponse; decoding them would cost more than the node does. */
function countEvents(bytes: Buffer): number {
  const reader = new WireReader(bytes)
  let events = 0
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === EVENTS_TAG) events += 1
    reader.skip(tag)
  }
  return events
}
const EVENTS_TAG = (1 << 3) | 2

const WORK: Record<Workload, () => Promise<(calls: number) => Promise<unknown>>> = {
  put: pipelined,
  get: pipelined,
  'get-many': pipelined,
  'unary-put': unary,
  'unary-get': unary,
  watch: watched,
}

const run = await must(WORK[workload as Workload], `a workload, not ${workload}`)()
await run(operations / 4)
process.send?.('ready')
await once(process, 'message')
const began = performance.now()
await run(operations)
process.send?.({ seconds: (performance.now() - began) / 1000 } satisfies Done)
await once(process, 'message')
process.exit()
