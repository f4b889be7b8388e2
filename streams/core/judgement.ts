/**
 * Which of the replicas of a partition are right, when they do not all have the same hash at one offset. Pure.
 *
 * Nobody is believed for leading: a replica is wrong when more than half of all that the map lists agree on something else. Those
 * that do not answer count as not having voted, so that a few that hear each other cannot outvote the rest. Without such a majority
 * nobody is wrong yet: it is a tie, and the log has to say.
 */
import { must } from './assert.ts'

/** Hashes of one replica by the offset that they are of. */
export type Hashes = ReadonlyMap<number, string>

export interface Case {
  /** The node that asks. */
  readonly own: string
  /** Nodes that the map lists with a live replica, the own one included. */
  readonly replicas: readonly string[]
  /** What is known of them; who did not answer is missing. */
  readonly hashes: ReadonlyMap<string, Hashes>
}

export type Verdict =
  /** Too few have said what they have at one offset. `disputed`: some differ already. */
  | { readonly kind: 'open'; readonly disputed: boolean }
  /** There is no other replica. */
  | { readonly kind: 'alone' }
  /** A majority has what is here, and nobody that answered has anything else. */
  | { readonly kind: 'equal'; readonly at: number }
  /** Some differ, and no majority can come about. `others`: who has which hash. */
  | { readonly kind: 'tied'; readonly at: number; readonly others: Hashed }
  /** A majority has what is here; `wrong` have something else. */
  | { readonly kind: 'upheld'; readonly at: number; readonly wrong: readonly string[] }
  /** A majority agrees on something else than what is here. */
  | { readonly kind: 'convicted'; readonly at: number; readonly agreed: readonly string[] }

/** Node → hash. */
type Hashed = ReadonlyMap<string, string>

/** What tells more comes first; where offsets tell as much, the newest counts. */
function rankOf(verdict: Verdict): number {
  if (verdict.kind === 'open') return verdict.disputed ? 2 : 0
  return { alone: 0, equal: 1, tied: 3, upheld: 4, convicted: 5 }[verdict.kind]
}

/** @returns the strongest verdict that any offset of which the own hash is known gives */
export function judge({ own, replicas, hashes }: Case): Verdict {
  if (replicas.every((nodeId) => nodeId === own)) return { kind: 'alone' }
  const offsets = [...(hashes.get(own)?.keys() ?? [])].sort((a, b) => b - a)
  let verdict: Verdict = { kind: 'open', disputed: false }
  for (const at of offsets) {
    const found = judgeAt(own, replicas, hashes, at)
    if (rankOf(found) > rankOf(verdict)) verdict = found
  }
  return verdict
}

function judgeAt(
  own: string,
  replicas: readonly string[],
  hashes: ReadonlyMap<string, Hashes>,
  at: number,
): Verdict {
  const votes = new Map<string, string[]>()
  const others = new Map<string, string>()
  for (const nodeId of replicas) {
    const hash = hashes.get(nodeId)?.get(at)
    if (hash === undefined) continue
    votes.set(hash, [...(votes.get(hash) ?? []), nodeId])
    if (nodeId !== own) others.set(nodeId, hash)
  }
  const largest = must(
    [...votes.values()].sort((a, b) => b.length - a.length)[0],
    'the vote of the replica that asks',
  )
  const voted = [...votes.values()].flat()
  const majority = replicas.length / 2
  if (largest.length > majority) {
    if (!largest.includes(own)) return { kind: 'convicted', at, agreed: largest }
    const wrong = voted.filter((nodeId) => !largest.includes(nodeId))
    return wrong.length === 0 ? { kind: 'equal', at } : { kind: 'upheld', at, wrong }
  }
  if (votes.size === 1) return { kind: 'open', disputed: false }
  const silent = replicas.length - voted.length
  return largest.length + silent > majority ? { kind: 'open', disputed: true } : { kind: 'tied', at, others }
}
