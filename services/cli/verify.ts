/**
 * Are the replicas of each partition equal? A replica's chain hash says so for the offset that it has applied, and for its last
 * checkpoints; two replicas are compared where both were seen at the same offset. What was seen is kept, so that replicas of a busy
 * partition are compared as well. Pure: looks go in, verdicts come out.
 */
import type { ReplicaDescription } from '../client/index.ts'
import { type Survey, partitionLines } from './survey.ts'

/** Looks at one replica that are kept. Replicas of one partition are close to each other in the log: older ones do not help. */
const LOOKS_MAX = 256

export type Verdict =
  /** All replicas were found equal, each at an offset that it shares with another. */
  | { readonly kind: 'equal'; readonly offset: number }
  /** Two replicas have different hashes at one offset. */
  | { readonly kind: 'different'; readonly offset: number; readonly hashes: ReadonlyMap<string, string> }
  /** There is one replica only, or none: nothing to compare. */
  | { readonly kind: 'alone' }
  /** No offset yet at which all could be compared. */
  | { readonly kind: 'open' }

export interface Verified {
  readonly keyspace: string
  readonly partition: number
  /** Nodes whose replica was looked at. */
  readonly nodes: readonly string[]
  /** Nodes of the map whose replica could not be looked at in the last survey, or has stopped. */
  readonly missing: readonly string[]
  readonly verdict: Verdict
}

/** What was seen of one partition: node → offset → hash, the newest look last. */
type Looks = Map<string, Map<number, string>>

export class Verification {
  readonly #partitions = new Map<string, Looks>()
  #last: Verified[] = []

  /** Takes in what the nodes say now. @returns one for each partition of the newest map */
  look(survey: Survey, keyspace?: string): readonly Verified[] {
    this.#last = partitionLines(survey, keyspace).map((line) => {
      const name = `${line.keyspace}/${line.partition}`
      const looks = this.#partitions.get(name) ?? new Map<string, Map<number, string>>()
      this.#partitions.set(name, looks)
      const compared = line.replicas.filter(({ state }) => state === 'live' || state === 'restoring')
      for (const { nodeId, found } of compared) if (found !== undefined) remember(looks, nodeId, found)
      const nodes = compared.map(({ nodeId }) => nodeId)
      return {
        keyspace: line.keyspace,
        partition: line.partition,
        nodes,
        missing: line.replicas
          .filter(({ nodeId, warming }) => !warming && !nodes.includes(nodeId))
          .map(({ nodeId }) => nodeId),
        verdict: verdictOf(looks, nodes),
      }
    })
    return this.#last
  }

  /** True when a further look can change nothing. */
  get settled(): boolean {
    return this.#last.every(({ verdict }) => verdict.kind !== 'open')
  }
}

function remember(looks: Looks, nodeId: string, found: ReplicaDescription): void {
  const seen = looks.get(nodeId) ?? new Map<number, string>()
  looks.set(nodeId, seen)
  for (const { at, chainHash } of found.checkpoints) seen.set(at, chainHash)
  seen.set(found.applied, found.chainHash)
  while (seen.size > LOOKS_MAX) {
    const [oldest] = seen.keys()
    if (oldest !== undefined) seen.delete(oldest)
  }
}

function verdictOf(looks: Looks, nodes: readonly string[]): Verdict {
  const different = differenceOf(looks)
  if (different !== undefined) return different
  const [first, ...others] = nodes
  if (first === undefined || others.length === 0) return { kind: 'alone' }
  const reached = new Set([first])
  let offset = -1
  // Equality is handed on: who shares an offset with a replica that was reached is reached.
  for (let grown = true; grown;) {
    grown = false
    for (const node of others) {
      if (reached.has(node)) continue
      const met = [...(looks.get(node)?.keys() ?? [])].filter((at) =>
        [...reached].some((other) => looks.get(other)?.has(at) === true),
      )
      if (met.length === 0) continue
      reached.add(node)
      offset = Math.max(offset, ...met)
      grown = true
    }
  }
  return reached.size === nodes.length ? { kind: 'equal', offset } : { kind: 'open' }
}

function differenceOf(looks: Looks): Verdict | undefined {
  const hashesAt = new Map<number, Map<string, string>>()
  for (const [node, seen] of looks) {
    for (const [offset, hash] of seen) {
      const hashes = hashesAt.get(offset) ?? new Map<string, string>()
      hashesAt.set(offset, hashes.set(node, hash))
    }
  }
  for (const [offset, hashes] of hashesAt) {
    if (new Set(hashes.values()).size > 1) return { kind: 'different', offset, hashes }
  }
  return undefined
}
