/**
 * Which topics there are, from what the members say. Members learn topics from the log, not at the same moment, so they can differ:
 *
 * - A topic that some do not know yet is in the map, so that they learn of it.
 * - A topic that was deleted and created again has two identities for a while. The one that most members say counts (identities have no
 *   order that would tell the newer one); each member looks at the log every few seconds, so all say the new one soon. Replicas count only
 *   if the member that holds them says that identity: those of two identities are never mixed.
 * - Partitions, replication and settings: what most of those say that say the identity, and of them those that have read the settings;
 *   the others repeat what they heard.
 */
import type { MapSettings, MemberState, TopicNeeds } from './cluster-map.ts'
import { bytesToText } from './bytes.ts'

export interface AgreedTopic {
  readonly needs: TopicNeeds
  /** Ids of the members whose replicas of it count. */
  readonly speakers: ReadonlySet<string>
}

/** By name. The members have different ids. */
export function agreeOnTopics(members: readonly MemberState[]): AgreedTopic[] {
  const said = new Map<string, Map<string, TopicNeeds>>()
  for (const { nodeId, topics } of members)
    for (const needs of topics) {
      const byMember = said.get(needs.topic) ?? new Map<string, TopicNeeds>()
      said.set(needs.topic, byMember.set(nodeId, needs))
    }
  return [...said]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([topic, byMember]) => {
      const identity = mostSaid([...byMember.values()], (needs) => needs.identity)?.identity ?? ''
      const speakers = [...byMember].filter(([, needs]) => needs.identity === identity)
      const needs = speakers.map(([, one]) => one)
      const informed = needs.filter((one) => one.settings !== undefined)
      const shape = mostSaid(
        informed.length > 0 ? informed : needs,
        ({ partitions, replication }) => `${partitions}/${replication}`,
      )
      const settings = needs.flatMap((one) => (one.settings === undefined ? [] : [one.settings]))
      return {
        needs: {
          topic,
          identity,
          partitions: shape?.partitions ?? 0,
          replication: shape?.replication ?? 0,
          settings: mostSaid(settings, settingsText),
        },
        speakers: new Set(speakers.map(([nodeId]) => nodeId)),
      }
    })
}

/** One of those whose text stands there most often; of texts that stand there as often, the first by code units. */
function mostSaid<T>(all: readonly T[], textOf: (one: T) => string): T | undefined {
  const counts = new Map<string, { readonly one: T; count: number }>()
  for (const one of all) {
    const text = textOf(one)
    const found = counts.get(text)
    if (found === undefined) counts.set(text, { one, count: 1 })
    else found.count += 1
  }
  const [first] = [...counts].sort(([a, left], [b, right]) => right.count - left.count || (a < b ? -1 : 1))
  return first?.[1].one
}

const settingsText = ({ partitionBy, valueBytesMax, packing }: MapSettings): string =>
  JSON.stringify([
    partitionBy.kind === 'key' ? null : bytesToText(partitionBy.separator),
    valueBytesMax,
    packing,
  ])
