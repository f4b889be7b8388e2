/** Cuts frames: operations that may go now, in their order, as long as they agree about what the frame says for all. */
import type { PipelineRequest } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { Consistency } from '../../proto/generated/tidemark/v1/types.ts'
import { CLIENT_FRAME_BYTES, FRAME_OPERATIONS_MAX } from '../../streams/core/limits.ts'
import type { Home, Operation } from './operation.ts'
import type { Places } from './places.ts'
import type { SessionToken } from './session-token.ts'

/** @returns undefined when nothing may go */
export function nextFrame(places: Places, seen: SessionToken): PipelineRequest | undefined {
  const operations: Operation[] = []
  let bytes = 0
  let keyspace = ''
  let consistency: Operation['consistency'] = 0
  let durability: Operation['durability'] = 0
  /** Of the writes; those that came from another node keep theirs. */
  let home: Home | undefined
  while (operations.length < FRAME_OPERATIONS_MAX) {
    const operation = places.peek()
    if (operation === undefined) break
    const its = operation.isRead ? home : (operation.home ?? places)
    if (operations.length > 0) {
      if (operation.keyspace !== keyspace || bytes + operation.bytes > CLIENT_FRAME_BYTES) break
      if (!agree(operation.consistency, consistency) || !agree(operation.durability, durability)) break
      if (home !== undefined && its !== home) break
    }
    places.take(operation)
    operations.push(operation)
    bytes += operation.bytes
    keyspace = operation.keyspace
    consistency ||= operation.consistency
    durability ||= operation.durability
    home = its
  }
  if (operations.length === 0) return undefined
  const token = consistency === Consistency.CONSISTENCY_SESSION ? seen.of(keyspace) : undefined
  const session = home?.session ?? places.session
  return { keyspace, consistency, token, durability, session, operations, timeoutMs: 0, details: false }
}

/** 0: says nothing, as reads about durability and writes about consistency. */
const agree = (one: number, other: number): boolean => one === 0 || other === 0 || one === other
