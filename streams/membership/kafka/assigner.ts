/**
 * What the leader of the group does in each generation: from the words of all members to one gift for all. It never throws, and is the
 * same for any order of the members, because the broker lists them in none.
 */
import { plan } from '../../core/plan.ts'
import type { MemberWords } from './group-protocol.ts'
import { decodeWords, encodeGift, type Words } from './words.ts'

export function assign(members: readonly MemberWords[], generation: number): Uint8Array {
  const said = members.flatMap(({ memberId, words }) => {
    const read = decodeWords(words)
    return read === undefined ? [] : [{ memberId, since: read.since || generation, state: read.state }]
  })
  const counting = new Map<string, (typeof said)[number]>()
  for (const member of said) {
    const other = counting.get(member.state.nodeId)
    if (other === undefined || isLater(member, other)) counting.set(member.state.nodeId, member)
  }
  const seats = [...counting.values()]
  return encodeGift({
    seated: seats.map(({ memberId, since, state: { nodeId, incarnation } }) => ({
      memberId,
      nodeId,
      incarnation,
      since,
    })),
    map: plan(
      seats.map(({ state }) => state),
      generation,
    ),
  })
}

/** Of two processes with one node id the one that came later counts; of two that came together, some one. */
function isLater(a: Said, b: Said): boolean {
  if (a.since !== b.since) return a.since > b.since
  return a.state.incarnation > b.state.incarnation
}

type Said = Pick<Words, 'since' | 'state'>
