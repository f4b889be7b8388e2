/**
 * A partition that nobody set up: its creator died, or a stranger made the topic. Its leader does so after a while, in which a creator
 * would have. Partition 0 decides for all, as it does for creators.
 */
import { TidemarkError } from '../core/errors.ts'
import { FORMAT_GRACE_MS } from '../core/limits.ts'
import type { Partition } from '../core/types.ts'
import { DEFAULT_SETTINGS } from '../keyspace-settings.ts'
import type { TopicDescription } from '../log/log.ts'
import type { Replica } from '../replica/replica.ts'
import type { NodeContext } from './context.ts'
import { readHead, writeFormat } from './keyspace-setup.ts'

export class LateSetup {
  readonly #context: NodeContext
  readonly #topic: TopicDescription
  /** When the next attempt is due. */
  readonly #due = new Map<Partition, number>()

  constructor(context: NodeContext, topic: TopicDescription) {
    this.#context = context
    this.#topic = topic
  }

  /** For a replica that this node leads. */
  look({ state: { partition, configured } }: Replica): void {
    if (configured) return
    const { clock, telemetry } = this.#context.options
    const now = clock.elapsed()
    const due = this.#due.get(partition) ?? now + FORMAT_GRACE_MS
    this.#due.set(partition, now < due ? due : now + FORMAT_GRACE_MS)
    if (now < due) return
    this.#setUp(partition).catch((caught: unknown) => {
      const { message } = TidemarkError.from(caught)
      telemetry.trouble(`partition ${partition} of ${this.#topic.topic} is not set up: ${message}`)
    })
  }

  async #setUp(partition: Partition): Promise<void> {
    const { options, appender } = this.#context
    const head = partition === 0 ? 'rows' : await readHead(options.log, this.#topic, 0 as Partition)
    const format = head === 'rows' ? DEFAULT_SETTINGS : head
    if (typeof format === 'object') await writeFormat(appender, this.#topic, partition, format)
  }
}
