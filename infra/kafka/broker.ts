/** One Kafka broker as a process of its own, from its jars. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { access, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KAFKA_SOURCES } from './jars.ts'
import type { KafkaJars } from './jars.ts'
import { propertiesText } from './properties.ts'
import type { Settings } from './properties.ts'
import { launch } from './watchdog.ts'

/** Milliseconds until a broker must be up; on a busy machine with two cores three of them take 20 s. */
const START_MS_MAX = 120_000
/** Milliseconds after which a broker that was asked to stop is killed. */
const STOP_MS_MAX = 30_000
const POLL_MS = 25
/** Lines of its output that the error of a failed start quotes. */
const QUOTED_LINES = 30
/** What Kafka says when the broker serves (and, in a quorum, is known to the controller). */
const UP = '] Kafka Server started'

export interface KafkaBroker {
  /** Kafka's node id, from 1. */
  readonly id: number
  /** The port of clients, on 127.0.0.1; the same after a restart. */
  readonly port: number
  /** The process; undefined while it is stopped. */
  readonly pid: number | undefined
  /** Ends the process and waits for that. Default SIGTERM (a clean stop); SIGKILL leaves it no time for anything. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Starts it again with its data and port, and waits until it serves. */
  start(): Promise<void>
}

export interface BrokerPlan {
  readonly id: number
  readonly port: number
  /** Its settings file, its output and its log lie here. */
  readonly folder: string
  readonly settings: Settings
  readonly jars: KafkaJars
  readonly jvm: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

const java = (plan: BrokerPlan, main: string, args: readonly string[]): string[] => [
  ...plan.jvm,
  ...archiveOption(plan.jars),
  `-Dlog4j2.configurationFile=${join(KAFKA_SOURCES, 'log4j2.properties')}`,
  '-cp',
  plan.jars.classPath,
  main,
  ...args,
]

/** The class archive where there is one; the JVM would complain on stdout about one of another Java. */
export const archiveOption = (jars: KafkaJars): string[] =>
  existsSync(jars.classArchive)
    ? [`-XX:SharedArchiveFile=${jars.classArchive}`, '-Xlog:disable', '-Xlog:all=error:stderr']
    : []

const launchJava = (plan: BrokerPlan, args: readonly string[], output: string): ChildProcess =>
  launch(plan.jars.java, args, { ...process.env, ...plan.env }, output)

/** Makes the folder and formats the storage, once. */
export async function prepareBroker(plan: BrokerPlan, clusterId: string): Promise<void> {
  await mkdir(plan.folder, { recursive: true })
  const file = join(plan.folder, 'server.properties')
  await writeFile(file, propertiesText(plan.settings))
  if (await exists(join(plan.folder, 'log', 'meta.properties'))) return
  const output = join(plan.folder, 'format.out')
  const child = launchJava(
    plan,
    java(plan, 'kafka.tools.StorageTool', ['format', '-t', clusterId, '-c', file]),
    output,
  )
  const code = await exitCode(child)
  if (code !== 0)
    throw new Error(`Kafka could not format its storage (exit ${code}):\n${await tail(output, 0)}`)
}

export function broker(plan: BrokerPlan): KafkaBroker {
  let child: ChildProcess | undefined
  const output = join(plan.folder, 'broker.out')

  return {
    id: plan.id,
    port: plan.port,
    get pid() {
      return child?.pid
    },

    async start() {
      if (child !== undefined) throw new Error(`broker ${plan.id} runs already`)
      const before = await stat(output).then(
        (facts) => facts.size,
        () => 0,
      )
      const started = launchJava(
        plan,
        java(plan, 'kafka.Kafka', [join(plan.folder, 'server.properties')]),
        output,
      )
      child = started
      // A broker that nobody stops must not keep a test run from ending; the watchdog ends it then.
      started.unref()
      started.once('exit', () => {
        if (child === started) child = undefined
      })
      await untilUp(started, plan.id, output, before)
    },

    async stop(signal = 'SIGTERM') {
      const running = child
      if (running?.pid === undefined) return
      running.ref()
      const gone = once(running, 'exit')
      running.kill(signal)
      const killer = setTimeout(() => running.kill('SIGKILL'), STOP_MS_MAX)
      await gone
      clearTimeout(killer)
    },
  }
}

async function untilUp(child: ChildProcess, id: number, output: string, from: number): Promise<void> {
  let failure: string | undefined
  child.once('error', (error) => (failure = error.message))
  child.once('exit', (code, signal) => (failure = `it ended with ${signal ?? `exit code ${code}`}`))
  const deadline = performance.now() + START_MS_MAX
  for (;;) {
    const said = await readFrom(output, from)
    if (said.includes(UP)) return
    if (performance.now() > deadline) {
      child.kill('SIGKILL')
      failure = `it was not up after ${START_MS_MAX} ms`
    }
    if (failure !== undefined) {
      throw new Error(`Kafka broker ${id} did not start: ${failure}\n${await tail(output, from)}`)
    }
    await sleep(POLL_MS)
  }
}

const exitCode = async (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

const readFrom = (path: string, from: number): Promise<string> =>
  readFile(path).then((bytes) => bytes.subarray(from).toString())

const tail = async (path: string, from: number): Promise<string> =>
  (await readFrom(path, from)).split('\n').slice(-QUOTED_LINES).join('\n')
