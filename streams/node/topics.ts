/** The topics of a cluster: `<cluster>.<keyspace>`, created safely, refused where they could lose acknowledged writes. */
import { TidemarkError } from '../core/errors.ts'
import { VALUE_BYTES_MAX } from '../core/limits.ts'
import type { KeyspaceSettings } from '../face.ts'
import { isKeyspaceName } from '../keyspace-settings.ts'
import type { TopicDescription } from '../log/log.ts'
import type { NodeOptions } from './options.ts'

export class Topics {
  /** What their names begin with. */
  readonly prefix: string
  readonly #options: NodeOptions

  constructor(options: NodeOptions) {
    this.#options = options
    this.prefix = `${options.cluster}.`
  }

  /** Of the keyspace; undefined for a topic that is none of this cluster. */
  nameOf(topic: string): string | undefined {
    const name = topic.startsWith(this.prefix) ? topic.slice(this.prefix.length) : ''
    return isKeyspaceName(name) ? name : undefined
  }

  /** The topic as it stands, created where there is none. @throws TOPIC_UNSAFE, KEYSPACE_EXISTS, LOG_UNAVAILABLE */
  async ensure(
    name: string,
    settings: Partial<KeyspaceSettings>,
  ): Promise<{ readonly description: TopicDescription; readonly created: boolean }> {
    const { log, partitions, replication, dev } = this.#options
    const topic = `${this.prefix}${name}`
    const found = await log.describeTopic(topic)
    if (found !== undefined) return { description: this.safe(found), created: false }
    const description = await log.createTopic(topic, {
      partitions: settings.partitions ?? partitions,
      valueBytesMax: settings.valueBytesMax ?? VALUE_BYTES_MAX,
      replication: dev ? 1 : replication,
    })
    return { description: this.safe(description), created: true }
  }

  /** @throws TOPIC_UNSAFE */
  safe(description: TopicDescription): TopicDescription {
    const { topic, unsafe } = description
    if (this.#options.dev || unsafe.length === 0) return description
    throw new TidemarkError(
      'TOPIC_UNSAFE',
      `topic ${topic} can lose acknowledged writes: ${unsafe.join('; ')}. ` +
        'On a development machine TIDEMARK_DEV=1 serves it all the same',
      { metadata: { topic } },
    )
  }
}
