/**
 * Request ids for writes that come without one and are sent on: only so may they be tried on another node. A session holds
 * no more sequences than a partition remembers, so none is ever forgotten while its write is on its way.
 */
import { DEDUPE_SEQUENCES_MAX } from '../../../streams/core/limits.ts'

/** @param name - nobody else's, ever */
export function requestIds(name: string): () => string {
  let sequence = 0
  return () => {
    const session = Math.floor(sequence / DEDUPE_SEQUENCES_MAX)
    const id = `${name}.${session.toString(36)}/${sequence % DEDUPE_SEQUENCES_MAX}`
    sequence += 1
    return id
  }
}
