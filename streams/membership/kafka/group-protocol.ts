/**
 * The requests of Kafka's group protocol (the classic one, which every broker since 3.1 speaks), and the two small formats in
 * which a consumer's words travel inside them. With them the group is an ordinary consumer group for every tool.
 *
 * Why not the consumer of kafkajs: it tells neither generation nor userData of the assignment, beats only between two fetches,
 * stops for every rebalance, dies for good when no coordinator is found, and takes another member id when its coordinator dies.
 * Of kafkajs remain the connections, as for the log.
 */
import { begin, type ApiCall } from '../../log/kafka/protocol.ts'
import type { WireReader } from '../../log/kafka/wire.ts'

/** Codes of Kafka's protocol that decide what a member does next. */
export const CODE = {
  UNKNOWN: -1,
  NONE: 0,
  COORDINATOR_LOAD_IN_PROGRESS: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  ILLEGAL_GENERATION: 22,
  UNKNOWN_MEMBER_ID: 25,
  REBALANCE_IN_PROGRESS: 27,
  GROUP_ID_NOT_FOUND: 69,
  MEMBER_ID_REQUIRED: 79,
} as const

const PROTOCOL_TYPE = 'consumer'
/** The name of the assigner: a group whose members name another one refuses us, and the other way round. */
const ASSIGNER = 'tidemark'

// ---- FindCoordinator v3 ---------------------------------------------------------------------------------------

export interface CoordinatorAnswer {
  readonly errorCode: number
  readonly host: string
  readonly port: number
}

export function findCoordinatorCall(groupId: string): ApiCall<CoordinatorAnswer> {
  const body = begin().string(groupId).int8(0).tags().written
  const decode = (reader: WireReader): CoordinatorAnswer => {
    reader.int32() // throttle
    const errorCode = reader.int16()
    reader.string() // message
    reader.int32() // node id
    return { errorCode, host: reader.string() ?? '', port: reader.int32() }
  }
  return { apiKey: 10, apiVersion: 3, apiName: 'FindCoordinator', body, decode }
}

// ---- JoinGroup v7 ---------------------------------------------------------------------------------------------

export interface JoinQuery {
  readonly groupId: string
  /** Empty for the first time: the answer is MEMBER_ID_REQUIRED and holds the id to join with. */
  readonly memberId: string
  readonly sessionMs: number
  readonly rebalanceMs: number
  /** What this member says of itself. */
  readonly words: Uint8Array
}

export interface JoinAnswer {
  readonly errorCode: number
  readonly generation: number
  readonly leader: string
  readonly memberId: string
  /** What each member said; empty for all but the leader. */
  readonly members: readonly MemberWords[]
}

export interface MemberWords {
  readonly memberId: string
  /** Empty where it does not read as what a consumer says. */
  readonly words: Uint8Array
}

/** Answered when all members have joined, or when the rebalance time is over. */
export function joinGroupCall(query: JoinQuery): ApiCall<JoinAnswer> {
  const writer = begin()
  const body = writer
    .string(query.groupId)
    .int32(query.sessionMs)
    .int32(query.rebalanceMs)
    .string(query.memberId)
    .string(null) // instance id: a dead member is put out by its peers, a static one would have to be waited for
    .string(PROTOCOL_TYPE)
    .array([query.words], (words) => writer.string(ASSIGNER).bytes(encodeUserData(words)).tags())
    .tags().written
  const decode = (reader: WireReader): JoinAnswer => {
    reader.int32() // throttle
    const errorCode = reader.int16()
    const generation = reader.int32()
    reader.string() // protocol type
    reader.string() // protocol name
    const leader = reader.string() ?? ''
    const memberId = reader.string() ?? ''
    const members = reader.array((member) => {
      const id = member.string() ?? ''
      member.string() // instance id
      const words = decodeUserData(member.bytes())
      member.tags()
      return { memberId: id, words }
    })
    return { errorCode, generation, leader, memberId, members }
  }
  return { apiKey: 11, apiVersion: 7, apiName: 'JoinGroup', body, decode }
}

// ---- SyncGroup v4 ---------------------------------------------------------------------------------------------

/** A member as the group knows it in one generation. */
export interface Seat {
  readonly groupId: string
  readonly generation: number
  readonly memberId: string
}

export interface SyncAnswer {
  readonly errorCode: number
  /** What the leader gave to this member; empty where it does not read as an assignment. */
  readonly gift: Uint8Array
}

/** The leader gives the same to all; the others give nothing and wait for the leader. */
export function syncGroupCall(
  seat: Seat,
  members: readonly MemberWords[],
  gift: Uint8Array,
): ApiCall<SyncAnswer> {
  const writer = begin()
  const assignment = encodeUserData(gift)
  const body = writer
    .string(seat.groupId)
    .int32(seat.generation)
    .string(seat.memberId)
    .string(null)
    .array(members, ({ memberId }) => writer.string(memberId).bytes(assignment).tags())
    .tags().written
  const decode = (reader: WireReader): SyncAnswer => {
    reader.int32() // throttle
    return { errorCode: reader.int16(), gift: decodeUserData(reader.bytes()) }
  }
  return { apiKey: 14, apiVersion: 4, apiName: 'SyncGroup', body, decode }
}

// ---- Heartbeat v4, LeaveGroup v4 ------------------------------------------------------------------------------

/** Answers with an error code. */
export function heartbeatCall(seat: Seat): ApiCall<number> {
  const { groupId, generation, memberId } = seat
  const body = begin().string(groupId).int32(generation).string(memberId).string(null).tags().written
  return { apiKey: 12, apiVersion: 4, apiName: 'Heartbeat', body, decode: codeAfterThrottle }
}

/** Puts members out, oneself or others: the broker asks for no more than their ids. Answers with an error code for the whole. */
export function leaveGroupCall(groupId: string, memberIds: readonly string[]): ApiCall<number> {
  const writer = begin()
  const body = writer
    .string(groupId)
    .array(memberIds, (memberId) => writer.string(memberId).string(null).tags())
    .tags().written
  return { apiKey: 13, apiVersion: 4, apiName: 'LeaveGroup', body, decode: codeAfterThrottle }
}

function codeAfterThrottle(reader: WireReader): number {
  reader.int32() // throttle
  return reader.int16()
}

// ---- DescribeGroups v5 ----------------------------------------------------------------------------------------

export interface DescribeAnswer {
  readonly errorCode: number
  /** Their words are left out: while the group is between two generations the broker does not tell them. */
  readonly members: readonly { readonly memberId: string; readonly clientId: string }[]
}

export function describeGroupCall(groupId: string): ApiCall<DescribeAnswer> {
  const writer = begin()
  const body = writer
    .array([groupId], (id) => writer.string(id))
    .int8(0)
    .tags().written
  const decode = (reader: WireReader): DescribeAnswer => {
    reader.int32() // throttle
    const [group] = reader.array((r) => {
      const errorCode = r.int16()
      r.string() // group
      r.string() // state
      r.string() // protocol type
      r.string() // protocol name
      const members = r.array((member) => {
        const memberId = member.string() ?? ''
        member.string() // instance id
        const clientId = member.string() ?? ''
        member.string() // host
        member.bytes() // subscription
        member.bytes() // assignment
        member.tags()
        return { memberId, clientId }
      })
      r.int32() // authorized operations
      r.tags()
      return { errorCode, members }
    })
    return group ?? { errorCode: CODE.GROUP_ID_NOT_FOUND, members: [] }
  }
  return { apiKey: 15, apiVersion: 5, apiName: 'DescribeGroups', body, decode }
}

// ---- ConsumerProtocol, version 0: what brokers and tools expect inside -------------------------------------------
//
//   subscription = int16 version, [ string topic ], bytes userData        assignment = int16 version, [ topic, [ partition ] ], bytes userData
//
// Lists and bytes have a length of 32 bits before them. Both lists are empty here: no partition is assigned, so that a rebalance
// stops nothing.

const EMPTY = Buffer.alloc(0)
const HEAD_BYTES = 2 + 4 + 4

function encodeUserData(userData: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + userData.length)
  bytes.writeInt32BE(userData.length, 2 + 4)
  bytes.set(userData, HEAD_BYTES)
  return bytes
}

/** The userData of what has empty lists; empty for anything else. */
function decodeUserData(bytes: Buffer): Buffer {
  if (bytes.length < HEAD_BYTES || bytes.readInt32BE(2) !== 0) return EMPTY
  const length = bytes.readInt32BE(2 + 4)
  return length === bytes.length - HEAD_BYTES ? bytes.subarray(HEAD_BYTES) : EMPTY
}
