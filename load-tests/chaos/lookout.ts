/** Looks at a cluster from outside, past the network of the cell: what each node and each broker says of itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ClusterDescription,
  type ClusterMap,
  type ClusterPlacement,
  type Tidemark,
  connect,
} from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { createTransport } from '../../streams/log/kafka/client.ts'
import { metadataCall, type PartitionMetadata } from '../../streams/log/kafka/metadata-protocol.ts'
import type { KafkaBroker } from '../../infra/kafka/broker.ts'
import type { NodeProcess } from '../cluster/node-process.ts'

/** Milliseconds that a node or a broker has to answer; one that hangs says nothing. */
const ANSWER_MS = 1000
const LOOK_MS = 50

export class Lookout {
  readonly #clients = new Map<string, Tidemark>()
  readonly #transport = createTransport({ clientId: 'chaos-lookout' }, ANSWER_MS)

  /** The map as one node has it; undefined where it does not answer. */
  map(node: NodeProcess): Promise<ClusterMap | undefined> {
    return this.#client(node)
      .map({ deadlineMs: ANSWER_MS })
      .catch(() => undefined)
  }

  describe(node: NodeProcess): Promise<ClusterDescription | undefined> {
    return this.#client(node)
      .describe({ deadlineMs: ANSWER_MS })
      .catch(() => undefined)
  }

  /** Where each partition of a keyspace is, as one node knows it. */
  async placements(node: NodeProcess, keyspace: string): Promise<readonly ClusterPlacement[]> {
    const map = await this.map(node)
    return map?.keyspaces.find(({ name }) => name === keyspace)?.placements ?? []
  }

  /** A linearizable read of a row that is not there. */
  async probe(node: NodeProcess, keyspace: string): Promise<void> {
    await this.#client(node)
      .keyspace(keyspace)
      .get('no such row', { deadlineMs: 10 * ANSWER_MS })
  }

  /** Leaders of the partitions of a topic as one broker sees them; undefined where it does not answer. */
  async brokerView(broker: KafkaBroker, topic: string): Promise<readonly PartitionMetadata[] | undefined> {
    const channel = this.#transport.channel({ host: '127.0.0.1', port: broker.port })
    try {
      const metadata = await channel.call(metadataCall([topic]), ANSWER_MS)
      return metadata.topics[0]?.partitions
    } catch {
      return undefined
    } finally {
      channel.close()
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()))
  }

  #client({ address }: NodeProcess): Tidemark {
    const known = this.#clients.get(address)
    if (known !== undefined) return known
    const client = connect({ server: address, discover: false, retryUnreachable: false })
    this.#clients.set(address, client)
    return client
  }
}

/** Asks again and again until there is an answer. @returns how many milliseconds that took, undefined when the time was over */
export async function untilTrue(
  ask: () => boolean | Promise<boolean>,
  timeoutMs: number,
): Promise<number | undefined> {
  const began = performance.now()
  while (performance.now() - began < timeoutMs) {
    if (await ask()) return Math.round(performance.now() - began)
    await sleep(LOOK_MS)
  }
  return undefined
}

export const leadersOf = (partitions: readonly PartitionMetadata[] | undefined): readonly number[] =>
  (partitions ?? []).map(({ leader }) => leader)

/** The index of whoever stands most often in a list of them; ties go to the first. */
export function mostOften<T>(list: readonly T[]): T {
  const counts = new Map<T, number>()
  for (const one of list) counts.set(one, (counts.get(one) ?? 0) + 1)
  const [most] = [...counts].sort(([, a], [, b]) => b - a)
  return must(most, 'an element')[0]
}
