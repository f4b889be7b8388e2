import { expect } from 'chai'
import { MALFORMED } from './bytes.ts'
import { decodeState, encodeState, newState } from './state.ts'
import type { PartitionState } from './state.ts'
import type { Partition } from './types.ts'

const full = {
  partition: 3,
  partitions: 1024,
  topicIdentity: 'kL9-identity',
  next: Number.MAX_SAFE_INTEGER,
  time: 2 ** 48,
  epoch: 41,
  leader: 'nöde',
  incarnation: 'i',
  format: 1,
  partitionBy: { kind: 'prefix', separator: Uint8Array.from([0, 0xff]) },
  valueBytesMax: 16 * 1024 * 1024,
  packing: false,
  defaultTtlMs: 3_153_600_000_000,
  replication: 3,
  configured: true,
  rows: 5,
  rejected: 6,
  ids: 7,
  historyStart: 8,
  historyBytes: 9,
  tombstoneStart: 10,
  chain: Uint8Array.from({ length: 32 }, (_, at) => at),
  checkpoints: [1024, 2048].map((at) => ({
    at,
    chain: Uint8Array.from({ length: 32 }, (_, place) => at + place),
  })),
} as unknown as PartitionState

describe('state', () => {
  it('is read as it was written', () => {
    const fresh = newState(0 as Partition, 1, 't')
    expect(decodeState(encodeState(full))).to.deep.equal(full)
    expect(decodeState(encodeState(fresh))).to.deep.equal(fresh)
  })

  it('does not share memory with what it was read from', () => {
    const bytes = encodeState(full)
    const read = decodeState(bytes)
    bytes.fill(0)
    expect(read).to.deep.equal(full)
  })

  it('refuses bytes that are cut, too many, or of another layout', () => {
    const bytes = encodeState(full)
    for (let end = 0; end < bytes.length; end++)
      expect(() => decodeState(bytes.subarray(0, end)), `${end} bytes`).to.throw(MALFORMED)
    expect(() => decodeState(Buffer.concat([bytes, Buffer.from([0])]))).to.throw(MALFORMED)
    for (const layout of [2, 4])
      expect(() => decodeState(Buffer.concat([Buffer.from([layout]), bytes.subarray(1)]))).to.throw(MALFORMED)
  })
})
