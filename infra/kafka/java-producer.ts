/**
 * Kafka's own Java clients as a stranger runs them: records that Tidemark did not write, for the tests of those who must
 * bear them. Commands of Stranger.java have types here; the console tools are run as they are.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { archiveOption } from './broker.ts'
import { KAFKA_SOURCES, kafkaJars } from './jars.ts'
import { guarded } from './watchdog.ts'

export type Compression = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

type Bytes = string | Uint8Array

export interface StrangerRecord {
  readonly topic: string
  /** Default: where Kafka's own partitioner (murmur2) puts it. */
  readonly partition?: number
  readonly key: Bytes | null
  /** null is a tombstone. */
  readonly value: Bytes | null
  /** In this order; names may come twice, values may be null. */
  readonly headers?: readonly (readonly [name: string, value: Bytes | null])[]
  /** Of plain records only. */
  readonly compression?: Compression
}

export interface StrangerAck {
  readonly partition: number
  readonly offset: number
}

export interface Stranger {
  /** Sends; the ack tells where it landed. Calls may overlap: their records go out in the order of the calls. */
  send(record: StrangerRecord): Promise<StrangerAck>
  /** Begins a transaction with this transactional id. Several may be open at once, each with its own id. */
  begin(id: string, options?: { readonly timeoutMs?: number }): Promise<void>
  /** Sends inside the open transaction of `id`. */
  sendIn(id: string, record: StrangerRecord): Promise<StrangerAck>
  /** Resolves when Kafka has decided so; the control record stands in the partition a moment later. */
  commit(id: string): Promise<void>
  abort(id: string): Promise<void>
  /** Resolves when all that was sent so far is acknowledged. */
  flush(): Promise<void>
  /** Ends the process. A transaction that is open stays open until its timeout, as after a crash. */
  close(): Promise<void>
}

const JVM = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData']
const LOGGING = `-Dlog4j2.configurationFile=${join(KAFKA_SOURCES, 'log4j2-stderr.properties')}`

const base64 = (bytes: Bytes | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString('base64')

async function java(args: readonly string[]): Promise<ChildProcessWithoutNullStreams> {
  const jars = await kafkaJars()
  return guarded(spawn(jars.java, [...JVM, ...archiveOption(jars), LOGGING, '-cp', jars.classPath, ...args]))
}

export async function startStranger(bootstrap: readonly string[]): Promise<Stranger> {
  const child = await java([join(KAFKA_SOURCES, 'Stranger.java'), bootstrap.join(',')])
  const waiting = new Map<
    number,
    { resolve: (answer: StrangerAck) => void; reject: (error: Error) => void }
  >()
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => (complaints = (complaints + chunk.toString()).slice(-4000)))
  child.stdin.on('error', () => undefined)
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => {
    const answer = JSON.parse(line) as { n: number; error?: string } & StrangerAck
    const call = waiting.get(answer.n)
    waiting.delete(answer.n)
    if (answer.error === undefined) call?.resolve({ partition: answer.partition, offset: answer.offset })
    else call?.reject(new Error(answer.error))
  })
  const ended = once(child, 'close').then(() => {
    for (const call of waiting.values()) call.reject(new Error(`the Java producer ended: ${complaints}`))
    waiting.clear()
  })

  let commands = 0
  const command = (what: string, fields: object): Promise<StrangerAck> =>
    new Promise((resolve, reject) => {
      const n = ++commands
      waiting.set(n, { resolve, reject })
      child.stdin.write(`${JSON.stringify({ n, do: what, ...fields })}\n`)
    })
  const send = (record: StrangerRecord, id?: string): Promise<StrangerAck> =>
    command('send', {
      ...record,
      id,
      key: base64(record.key),
      value: base64(record.value),
      headers: record.headers?.map(([name, value]) => [name, base64(value)]),
    })
  const done = async (what: string, fields: object): Promise<void> => {
    await command(what, fields)
  }

  return {
    send: (record) => send(record),
    sendIn: (id, record) => send(record, id),
    begin: (id, options = {}) => done('begin', { id, ...options }),
    commit: (id) => done('commit', { id }),
    abort: (id) => done('abort', { id }),
    flush: () => done('flush', {}),
    async close() {
      child.stdin.end()
      await ended
    },
  }
}

export interface ToolOutput {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command line tool of Kafka by its class, for instance `org.apache.kafka.tools.TopicCommand`. @throws when it exits non-zero. */
export async function runKafkaTool(main: string, args: readonly string[], input = ''): Promise<ToolOutput> {
  const child = await java([main, ...args])
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  const code: unknown = (await once(child, 'close'))[0]
  const output = { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
  if (code !== 0) throw new Error(`${main} exited with ${String(code)}: ${output.stderr}${output.stdout}`)
  return output
}

export interface ConsoleProducer {
  readonly bootstrap: readonly string[]
  readonly topic: string
  /**
   * One record each: the value, or `key<TAB>value` with `key: true`, or `name:value,name:value<TAB>key<TAB>value` with
   * `headers: true` besides. `\N` in place of a value is a null value.
   */
  readonly lines: readonly string[]
  readonly key?: boolean
  readonly headers?: boolean
  readonly compression?: Compression
}

/** kafka-console-producer.sh. Resolves when Kafka has acknowledged all lines. */
export async function consoleProducer(options: ConsoleProducer): Promise<void> {
  const reader = ['null.marker=\\N']
  if (options.key === true) reader.push('parse.key=true')
  if (options.headers === true) reader.push('parse.headers=true')
  const { stderr } = await runKafkaTool(
    'org.apache.kafka.tools.ConsoleProducer',
    [
      ...['--bootstrap-server', options.bootstrap.join(','), '--topic', options.topic, '--sync'],
      ...(options.compression === undefined ? [] : ['--compression-codec', options.compression]),
      ...reader.flatMap((property) => ['--reader-property', property]),
    ],
    options.lines.map((line) => `${line}\n`).join(''),
  )
  // It exits with 0 although a record was refused.
  if (/\bERROR\b/.test(stderr)) throw new Error(`the console producer complained: ${stderr}`)
}

export interface ConsoleConsumer {
  readonly bootstrap: readonly string[]
  readonly topic: string
  /** How many records to wait for. */
  readonly records: number
  readonly committedOnly?: boolean
  readonly timeoutMs?: number
}

/** kafka-console-consumer.sh from the start: lines of `Partition:p<TAB>Offset:o<TAB>headers<TAB>key<TAB>value`. */
export async function consoleConsumer(options: ConsoleConsumer): Promise<string[]> {
  const show = ['print.partition', 'print.offset', 'print.headers', 'print.key', 'print.value']
  const { stdout } = await runKafkaTool('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    ...['--bootstrap-server', options.bootstrap.join(','), '--topic', options.topic, '--from-beginning'],
    ...['--max-messages', String(options.records), '--timeout-ms', String(options.timeoutMs ?? 15_000)],
    ...['--isolation-level', options.committedOnly === true ? 'read_committed' : 'read_uncommitted'],
    ...show.flatMap((property) => ['--formatter-property', `${property}=true`]),
  ])
  return stdout.split('\n').filter((line) => line !== '')
}
