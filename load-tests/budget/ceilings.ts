/**
 * The ceilings, in a process of their own, so that their processor time can be told from the client's: an empty unary echo,
 * RocksDB and kafkajs with nothing around them. Asked by messages; each answer is what the process used, in microseconds.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { must } from '../../streams/core/assert.ts'
import { serveEcho } from '../bench/echo.ts'
import { openPacks, type Packs } from '../bench/kafka-ceiling.ts'
import { BATCH_ROWS, GET_KEYS, openRaw, type RawStore } from '../bench/store-ceilings.ts'

interface Setting {
  readonly folder: string
  readonly brokers: readonly string[]
  readonly keys: number
  readonly valueBytes: number
}

type Question =
  { readonly what: 'cpu' } | { readonly what: 'put' | 'get' | 'packs'; readonly operations: number }

export interface Ceilings {
  readonly echoPort: number
  /** Microseconds since it began. */
  cpu(): Promise<number>
  /** Microseconds for one operation. */
  put(operations: number): Promise<number>
  get(operations: number): Promise<number>
  packs(operations: number): Promise<number>
  close(): void
}

export async function startCeilings(setting: Setting): Promise<Ceilings> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(setting)])
  const echoPort = await answerOf(child)
  const ask = (question: Question): Promise<number> => {
    child.send(question)
    return answerOf(child)
  }
  const work = (what: 'put' | 'get' | 'packs') => (operations: number) => ask({ what, operations })
  return {
    echoPort,
    cpu: () => ask({ what: 'cpu' }),
    put: work('put'),
    get: work('get'),
    packs: work('packs'),
    close: () => void child.kill(),
  }
}

/** One question at a time. @throws where the process has ended */
async function answerOf(child: ChildProcess): Promise<number> {
  const over = new AbortController()
  const { signal } = over
  const ended = once(child, 'exit', { signal }).then(
    () => Promise.reject(new Error('the process of the ceilings has ended')),
    () => undefined,
  )
  const [answer] = (await Promise.race([once(child, 'message', { signal }), ended])) as [number]
  over.abort()
  return answer
}

async function serve({ folder, brokers, keys, valueBytes }: Setting): Promise<void> {
  const store = await openRaw(join(folder, 'ceilings'), { keys, valueBytes })
  for (let row = 0; row < keys; row += BATCH_ROWS) await store.putBatch()
  const packs = brokers.length === 0 ? undefined : await openPacks(brokers, valueBytes)
  process.on('message', (question: Question) => {
    void answer(question, store, packs).then((micros) => process.send?.(micros))
  })
  process.on('disconnect', () => process.exit())
  process.send?.(await serveEcho())
}

async function answer(question: Question, store: RawStore, packs: Packs | undefined): Promise<number> {
  const used = (since?: NodeJS.CpuUsage): number => {
    const { user, system } = process.cpuUsage(since)
    return user + system
  }
  if (question.what === 'cpu') return used()
  const works = {
    put: { call: () => store.putBatch(), weight: BATCH_ROWS },
    get: { call: () => store.getMany(), weight: GET_KEYS },
    packs: { call: () => must(packs, 'a broker').send(), weight: packs?.mutations ?? 1 },
  }
  const { call, weight } = works[question.what]
  const before = process.cpuUsage()
  const calls = Math.max(1, Math.round(question.operations / weight))
  for (let at = 0; at < calls; at += 1) await call()
  return used(before) / (calls * weight)
}

const [, file = '', setting] = process.argv
if (process.send !== undefined && file === fileURLToPath(import.meta.url) && setting !== undefined)
  await serve(JSON.parse(setting) as Setting)
