/**
 * One real Kafka for all `*.kafka.test.ts` of a mocha run: started when the first suite needs it, ended after the last
 * one. Where none can be had, the suite fails in CI (`CI` is set) and is skipped with a loud line elsewhere.
 *
 *     describe('…', () => {
 *       const kafka = withKafka()
 *       it('…', async () => { … kafka.bootstrap … })
 *     })
 *
 * Suites share the broker, so each uses topic and group names of its own (`freshName`). A suite that stops brokers
 * starts its own with startKafka().
 */
import { randomBytes } from 'node:crypto'
import { acquireKafka } from './acquire.ts'
import type { AcquiredKafka } from './acquire.ts'
import { NoJava, kafkaJars } from './jars.ts'

/** Milliseconds for a suite's first need: fetching Kafka on a slow line is part of it. */
const ACQUIRE_MS_MAX = 10 * 60_000

export interface SharedKafka {
  /** `host:port` of each broker. Only inside hooks and tests. */
  readonly bootstrap: string[]
  /** A name that no other suite and no other run has: for topics, groups, clusters. */
  freshName(prefix: string): string
}

let shared: Promise<AcquiredKafka | string> | undefined

// This line runs while mocha loads the first file that imports it, outside every describe: it is a hook of the whole run.
after('end the shared Kafka', async function () {
  this.timeout(60_000)
  const kafka = await shared?.catch(() => undefined)
  if (kafka !== undefined && typeof kafka !== 'string') await kafka.release()
})

/** Call it inside `describe`. */
export function withKafka(): SharedKafka {
  let acquired: AcquiredKafka | undefined
  before('a real Kafka', async function () {
    this.timeout(ACQUIRE_MS_MAX)
    shared ??= acquireKafka()
    const kafka = await shared
    if (typeof kafka === 'string') skip(this, `no Kafka: ${kafka}`)
    else acquired = kafka
  })
  return {
    get bootstrap() {
      if (acquired === undefined) throw new Error('use kafka.bootstrap inside a hook or a test')
      return [...acquired.bootstrap]
    },
    freshName,
  }
}

/** Call it inside `describe`, for suites that start brokers of their own or run Kafka's Java tools: asks for Java and the jars. */
export function withJava(): void {
  before('Java and the jars of Kafka', async function () {
    this.timeout(ACQUIRE_MS_MAX)
    try {
      await kafkaJars()
    } catch (error) {
      if (!(error instanceof NoJava)) throw error
      skip(this, error.message)
    }
  })
}

export const freshName = (prefix: string): string => `${prefix}-${randomBytes(5).toString('hex')}`

function skip(context: Mocha.Context, why: string): never {
  const ci = process.env['CI'] ?? ''
  if (ci !== '' && ci !== 'false')
    throw new Error(`${why} (in CI this fails; elsewhere the suite is skipped)`)
  const title = context.test?.parent?.fullTitle() ?? 'a suite'
  console.error(`\n!!! SKIPPED: "${title}" needs a real Kafka: ${why}.\n`)
  return context.skip()
}
