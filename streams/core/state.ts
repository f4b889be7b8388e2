/**
 * What a replica knows beside its rows: small, in memory, and written with every batch (invariant I3). FROZEN grammar:
 *
 *   state := 3 next time epoch leader incarnation format separator valueBytesMax packing defaultTtlMs replication configured
 *            rows rejected ids historyStart historyBytes tombstoneStart partition partitions identity chain(32)
 *            count (at chain(32))*
 */
import { ByteReader, ByteWriter, MALFORMED } from './bytes.ts'
import type { Checkpoint } from './control-messages.ts'
import { CHAIN_BYTES, VALUE_BYTES_MAX } from './limits.ts'
import { separatorOf } from './partitioner.ts'
import type { Epoch, LogTime, Offset, Partition, PartitionBy } from './types.ts'

export interface PartitionState {
  readonly partition: Partition
  /** Fixed for ever: another number in the topic stops the replica. */
  readonly partitions: number
  /** The topic that the replica was built from. */
  readonly topicIdentity: string

  /** Offset of the next record to apply; everything below it is applied. */
  next: Offset
  /** Partition time: the greatest log time so far. */
  time: LogTime
  epoch: Epoch
  leader: string
  incarnation: string
  format: number
  partitionBy: PartitionBy
  valueBytesMax: number
  packing: boolean
  /** Of rows that are written without a time to live; 0 = they stay. */
  defaultTtlMs: number
  /** Replicas wanted of each partition; 0 = what the node is set to. Placement reads it, apply only keeps it. */
  replication: number
  /** Whether a `format` record has been applied, or a row was changed before any: from then on the placement of keys is fixed. */
  configured: boolean
  /** Living rows. */
  rows: number
  /** Rejected mutations since the partition began. */
  rejected: number
  /** Request ids that were new: the clock by which sessions are forgotten. */
  ids: number
  /** Effects of records from here on are kept. */
  historyStart: Offset
  /** Bytes of the pieces of history that are kept. */
  historyBytes: number
  /** Tombstones of records from here on are kept. */
  tombstoneStart: Offset
  /** SHA-256 over the chain of effects of all records below `next`. */
  chain: Uint8Array
  /** The chain at the last multiples of CHECKPOINT_OFFSETS, the newest last; replaced as a whole. */
  checkpoints: readonly Checkpoint[]
}

export const newState = (
  partition: Partition,
  partitions: number,
  topicIdentity: string,
): PartitionState => ({
  partition,
  partitions,
  topicIdentity,
  next: 0 as Offset,
  time: 0 as LogTime,
  epoch: 0 as Epoch,
  leader: '',
  incarnation: '',
  format: 1,
  partitionBy: { kind: 'key' },
  valueBytesMax: VALUE_BYTES_MAX,
  packing: true,
  defaultTtlMs: 0,
  replication: 0,
  configured: false,
  rows: 0,
  rejected: 0,
  ids: 0,
  historyStart: 0 as Offset,
  historyBytes: 0,
  tombstoneStart: 0 as Offset,
  chain: new Uint8Array(CHAIN_BYTES),
  checkpoints: [],
})

const LAYOUT = 3

export function encodeState(state: PartitionState): Buffer {
  const writer = new ByteWriter(192)
  writer.byte(LAYOUT)
  writer.varint(state.next)
  writer.varint(state.time)
  writer.varint(state.epoch)
  writer.text(state.leader)
  writer.text(state.incarnation)
  writer.varint(state.format)
  writer.sized(separatorOf(state.partitionBy))
  writer.varint(state.valueBytesMax)
  writer.byte(state.packing ? 1 : 0)
  writer.varint(state.defaultTtlMs)
  writer.varint(state.replication)
  writer.byte(state.configured ? 1 : 0)
  writer.varint(state.rows)
  writer.varint(state.rejected)
  writer.varint(state.ids)
  writer.varint(state.historyStart)
  writer.varint(state.historyBytes)
  writer.varint(state.tombstoneStart)
  writer.varint(state.partition)
  writer.varint(state.partitions)
  writer.text(state.topicIdentity)
  writer.raw(state.chain)
  writer.varint(state.checkpoints.length)
  for (const { at, chain } of state.checkpoints) {
    writer.varint(at)
    writer.raw(chain)
  }
  return writer.bytes()
}

/** @throws MALFORMED */
export function decodeState(bytes: Uint8Array): PartitionState {
  const reader = new ByteReader(bytes)
  if (reader.byte() !== LAYOUT) throw MALFORMED
  const state = {
    next: reader.varint() as Offset,
    time: reader.varint() as LogTime,
    epoch: reader.varint() as Epoch,
    leader: reader.text(),
    incarnation: reader.text(),
    format: reader.varint(),
    partitionBy: readPartitionBy(reader),
    valueBytesMax: reader.varint(),
    packing: reader.byte() === 1,
    defaultTtlMs: reader.varint(),
    replication: reader.varint(),
    configured: reader.byte() === 1,
    rows: reader.varint(),
    rejected: reader.varint(),
    ids: reader.varint(),
    historyStart: reader.varint() as Offset,
    historyBytes: reader.varint(),
    tombstoneStart: reader.varint() as Offset,
    partition: reader.varint() as Partition,
    partitions: reader.varint(),
    topicIdentity: reader.text(),
    chain: readChain(reader),
    checkpoints: readCheckpoints(reader),
  }
  if (!reader.done) throw MALFORMED
  return state
}

const readChain = (reader: ByteReader): Uint8Array => Uint8Array.prototype.slice.call(reader.raw(CHAIN_BYTES))

function readCheckpoints(reader: ByteReader): readonly Checkpoint[] {
  const checkpoints: Checkpoint[] = []
  for (let left = reader.varint(); left > 0; left--)
    checkpoints.push({ at: reader.varint() as Offset, chain: readChain(reader) })
  return checkpoints
}

function readPartitionBy(reader: ByteReader): PartitionBy {
  const separator = Uint8Array.prototype.slice.call(reader.sized())
  return separator.length === 0 ? { kind: 'key' } : { kind: 'prefix', separator }
}
