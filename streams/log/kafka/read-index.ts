/**
 * The verified read index (design, section 6): end offsets such that everything that was acknowledged to anyone before
 * the round began lies below them, without a record in the log and without trust in a clock.
 *
 * A round asks, all at the same time, each leader for the end of its partitions (the high watermark) and every broker of their
 * replica sets who leads them. It counts only if all of them name the broker and the leader epoch that the offset came from. Why:
 * an append is acknowledged by the leader of the time. If the broker that we asked is no longer that leader, another
 * replica is, and it knew of its leadership before it took the append, so before the round began: it names itself.
 * A replica that an answer lists and that was not asked (a reassignment under way) makes the round count as failed too.
 *
 * Why all of them, and not so many that every acknowledged append must have reached one (more than replicas − min.insync.replicas)?
 * Two of three that agree would exclude a third one that leads with the help of either, but not one that leads with the help of
 * a broker that was made a replica since: whoever repairs a cluster reassigns the replicas of brokers that he takes for dead, and
 * those two may be cut off from the controllers together with us. The list of in-sync replicas is no help: a leader that is
 * cut off may have had one more accepted than it shows. So while the broker of a replica cannot be asked nothing is proved, and
 * callers append a barrier, one for all reads that wait. That a broker is silent is remembered, so that rounds cost nothing then.
 *
 * The high watermark, not the last stable offset: a plain write that is acknowledged while a stranger's transaction is open
 * stands after that transaction's first record, and has to be covered. Readers of committed records see it only when the transaction ends,
 * so a linearizable read waits for that, up to its deadline. The high watermark is reached by every reader in the end.
 */
import { TidemarkError } from '../../core/errors.ts'
import { KAFKA_REQUEST_MS, KAFKA_RETRY_MS, METADATA_REFRESH_MS } from '../../core/limits.ts'
import type { Offset, Partition } from '../../core/types.ts'
import { failpoint } from '../../failpoint.ts'
import type { TopicIdentity } from '../log.ts'
import { createChannels, type Channels } from './channels.ts'
import type { Transport } from './client.ts'
import type { ClusterView } from './cluster-view.ts'
import { metadataCall, type Metadata, type PartitionMetadata } from './metadata-protocol.ts'
import { LATEST, listOffsetsCall, type ApiCall, type OffsetAnswer } from './protocol.ts'
import { judgeEnd, nameOf, unasked, unproved, viewOf } from './leader-proof.ts'
import { createRounds } from './rounds.ts'

export interface ReadIndex {
  verifiedEnds(topic: string, partitions: readonly Partition[]): Promise<ReadonlyMap<Partition, Offset>>
  close(): void
}

interface Question {
  readonly topic: string
  readonly partitions: readonly Partition[]
}

/** The end of each partition, or why it is not proved. */
type Proof = ReadonlyMap<string, Offset | TidemarkError>

/** @param identityOf the id of the topic that is being read, so that the end of another one of its name proves nothing. */
export function createReadIndex(
  transport: Transport,
  view: ClusterView,
  identityOf: (topic: string) => TopicIdentity | undefined,
): ReadIndex {
  const offsetChannels = createChannels(transport)
  const leaderChannels = createChannels(transport)
  /** Brokers that did not answer: rounds fail at once in place of waiting for them, until a probe finds them back. */
  const silent = new Set<number>()
  /** When partitions with a silent replica are looked at again: they may have got others. */
  let lookAgainAt = 0
  let closed = false

  /** A broker of the partition's replicas that cannot be asked. */
  const silentReplica = (partition: PartitionMetadata): number | undefined =>
    partition.replicas.find((nodeId) => silent.has(nodeId) || !view.brokers.has(nodeId))

  const ask = async <T>(channels: Channels, nodeId: number, call: ApiCall<T>): Promise<T | TidemarkError> => {
    const channel = channels.of(view.brokers.get(nodeId))
    if (channel === undefined || silent.has(nodeId)) {
      return new TidemarkError('LOG_UNAVAILABLE', `Broker ${nodeId} does not answer.`)
    }
    try {
      return await channel.call(call, KAFKA_REQUEST_MS)
    } catch (caught) {
      if (!closed && !silent.has(nodeId)) {
        silent.add(nodeId)
        void probe(nodeId)
      }
      if (!(caught instanceof TidemarkError)) throw caught
      return caught
    }
  }

  const probe = async (nodeId: number): Promise<void> => {
    while (!closed && silent.has(nodeId)) {
      await new Promise((resolve) => setTimeout(resolve, KAFKA_RETRY_MS).unref())
      const channel = leaderChannels.of(view.brokers.get(nodeId))
      // Not in the metadata: it cannot be asked anyway, and comes back as a new one.
      if (channel === undefined) silent.delete(nodeId)
      await failpoint('read-index.probe', () => channel?.call(metadataCall([]), KAFKA_REQUEST_MS))?.then(
        () => silent.delete(nodeId),
        () => undefined,
      )
    }
  }

  const attempt = async (questions: readonly Question[]): Promise<Proof> => {
    const asked = new Map<
      string,
      { readonly topic: string; readonly leader: PartitionMetadata | undefined }
    >()
    for (const { topic, partitions } of questions) {
      for (const place of partitions) {
        asked.set(nameOf(topic, place), { topic, leader: view.leader(topic, place) })
      }
    }
    const known = [...asked.values()].flatMap(({ topic, leader }) =>
      leader === undefined || silentReplica(leader) !== undefined ? [] : [{ topic, ...leader }],
    )
    const topics = [...new Set(known.map(({ topic }) => topic))]
    const leaders = new Set(known.map(({ leader }) => leader))
    const replicas = new Set(known.flatMap((partition) => partition.replicas))

    const offsets = [...leaders].map((nodeId) => {
      const queries = known.filter(({ leader }) => leader === nodeId)
      return failpoint('read-index.ends', () => ask(offsetChannels, nodeId, listOffsetsCall(queries, LATEST)))
    })
    const views = [...replicas].map(async (nodeId) => ({
      nodeId,
      heard: await failpoint('read-index.leaders', () => ask(leaderChannels, nodeId, metadataCall(topics))),
    }))
    const [ends, heard] = await Promise.all([Promise.all(offsets), Promise.all(views)])
    return judge(asked, ends, new Map(heard.map((one) => [one.nodeId, one.heard])))
  }

  const judge = (
    asked: ReadonlyMap<string, { readonly topic: string; readonly leader: PartitionMetadata | undefined }>,
    ends: readonly (readonly OffsetAnswer[] | TidemarkError)[],
    heard: ReadonlyMap<number, Metadata | TidemarkError>,
  ): Proof => {
    const answers = new Map<string, OffsetAnswer>()
    for (const end of ends) {
      if (end instanceof TidemarkError) continue
      for (const answer of end) answers.set(nameOf(answer.topic, answer.partition), answer)
    }
    const named = new Map([...heard].map(([nodeId, answer]) => [nodeId, viewOf(answer, identityOf)]))
    const proof = new Map<string, Offset | TidemarkError>()
    for (const [name, { leader }] of asked) {
      const nodeId = leader === undefined ? undefined : silentReplica(leader)
      proof.set(
        name,
        nodeId === undefined ? judgeEnd(name, leader, answers.get(name), named) : unasked(name, nodeId),
      )
    }
    for (const answer of heard.values()) if (!(answer instanceof TidemarkError)) view.learn(answer)
    return proof
  }

  const rounds = createRounds<Question, Proof>(async (questions) => {
    const topics = [...new Set(questions.map(({ topic }) => topic))]
    if (topics.some((topic) => view.topic(topic) === undefined)) await view.refresh(topics)
    const first = await attempt(questions)
    const failing = questions.flatMap(({ topic, partitions }) =>
      partitions
        .filter((place) => first.get(nameOf(topic, place)) instanceof TidemarkError)
        .map((place) => view.leader(topic, place)),
    )
    if (failing.length === 0) return first
    const now = performance.now()
    const hopeless = failing.every((leader) => leader !== undefined && silentReplica(leader) !== undefined)
    if (hopeless && now < lookAgainAt) return first
    lookAgainAt = now + METADATA_REFRESH_MS
    // A leader that just changed is known now; what stays unproved is told, and the caller may append a barrier.
    await view.refresh(topics)
    return attempt(questions)
  })

  return {
    async verifiedEnds(topic, partitions) {
      const proof = await rounds({ topic, partitions })
      return new Map(
        partitions.map((place) => {
          const end =
            proof.get(nameOf(topic, place)) ?? unproved(nameOf(topic, place), 'it was not asked for')
          if (end instanceof TidemarkError) throw end
          return [place, end]
        }),
      )
    },
    close() {
      closed = true
      offsetChannels.close()
      leaderChannels.close()
    },
  }
}
