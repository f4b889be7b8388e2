/**
 * What travels in the group, as userData: the words of a member when it joins, and the gift of the group's leader to all.
 *
 *   words = 1, since, nonce, state                                       state and map as core/map-codec.ts writes them
 *   gift  = 1, [ member id, node id, incarnation, since ], map           numbers are unsigned varints
 *
 * The broker keeps one record with the words of all members and a gift for each: it must stay below its message.max.bytes.
 * What cannot be read is undefined, never an exception: one strange member must not stop the others.
 */
import { asBuffer } from '../../core/bytes.ts'
import type { ClusterMap, MemberState } from '../../core/cluster-map.ts'
import { decodeMap, decodeMember, encodeMap, encodeMember } from '../../core/map-codec.ts'
import { WireReader, WireWriter } from '../../log/kafka/wire.ts'

const VERSION = 1

export interface Words {
  /** The generation in which this process was in the group for the first time; 0 before. The later one of two with one node id counts. */
  readonly since: number
  /** Another where the member wants a new map: the broker rebalances for changed words only. */
  readonly nonce: number
  readonly state: MemberState
}

/** Who has which node id in the group: whom to put out when the node is dead. */
export interface Seated {
  readonly memberId: string
  readonly nodeId: string
  readonly incarnation: string
  readonly since: number
}

export interface Gift {
  readonly seated: readonly Seated[]
  readonly map: ClusterMap
}

export const encodeWords = ({ since, nonce, state }: Words): Uint8Array =>
  begin().unsignedVarint(since).unsignedVarint(nonce).bytes(encodeMember(state)).written

export const decodeWords = (bytes: Uint8Array): Words | undefined =>
  read(bytes, (reader) => {
    const since = reader.unsignedVarint()
    const nonce = reader.unsignedVarint()
    const state = decodeMember(reader.bytes())
    return state && { since, nonce, state }
  })

export const encodeGift = ({ seated, map }: Gift): Uint8Array =>
  seats(begin(), seated).bytes(encodeMap(map)).written

export const decodeGift = (bytes: Uint8Array): Gift | undefined =>
  read(bytes, (reader) => {
    const seated = reader.array((r) => ({
      memberId: r.string() ?? '',
      nodeId: r.string() ?? '',
      incarnation: r.string() ?? '',
      since: r.unsignedVarint(),
    }))
    const map = decodeMap(reader.bytes())
    return map && { seated, map }
  })

const begin = (): WireWriter => new WireWriter().int8(VERSION)

const seats = (writer: WireWriter, seated: readonly Seated[]): WireWriter =>
  writer.array(seated, ({ memberId, nodeId, incarnation, since }) =>
    writer.string(memberId).string(nodeId).string(incarnation).unsignedVarint(since),
  )

function read<T>(bytes: Uint8Array, fields: (reader: WireReader) => T | undefined): T | undefined {
  try {
    const reader = new WireReader(asBuffer(bytes))
    return reader.int8() === VERSION ? fields(reader) : undefined
  } catch {
    // It ends too early: somebody else's bytes.
    return undefined
  }
}
