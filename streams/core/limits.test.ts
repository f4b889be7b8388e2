import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import * as limits from './limits.ts'

/** These decide what apply does. A change here is a new format version, not an edit of this list. */
const FROZEN: Readonly<Record<string, number>> = {
  KEY_BYTES_MAX: 4096,
  VALUE_BYTES_CEILING: 16_777_216,
  CONTENT_TYPE_BYTES_MAX: 512,
  REPLICATION_MAX: 1024,
  TTL_MS_MAX: 3_153_600_000_000,
  REQUEST_ID_BYTES_MAX: 64,
  PACK_MUTATIONS_MAX: 16_384,
  TXN_OPERATIONS_MAX: 1024,
  LOG_TIME_MAX: 281_474_976_710_656,
  EXPIRIES_PER_RECORD_MAX: 512,
  DEDUPE_IDS_MAX: 1_048_576,
  DEDUPE_RENEW_IDS: 131_072,
  CHAIN_BYTES: 32,
  CHECKPOINT_OFFSETS: 1024,
  CHECKPOINTS_MAX: 4,
  DEDUPE_SEQUENCES_MAX: 1024,
  BATCH_BYTES_MAX: 33_554_432,
}

describe('limits', () => {
  it('that are frozen have not moved', () => {
    const all: Readonly<Record<string, number>> = limits
    for (const [name, value] of Object.entries(FROZEN)) expect(all[name], name).to.equal(value)
  })

  it('are marked FROZEN just where they are', () => {
    const source = readFileSync(new URL('./limits.js', import.meta.url), 'utf8')
    const marked = [...source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*export const (\w+)/g)]
      .filter(([, comment]) => comment?.includes('FROZEN') === true)
      .map(([, , name]) => name)
      // The comment at the top of the file tells what the mark means.
      .filter((name) => name !== undefined && name in limits)
    expect(marked).to.have.members(Object.keys(FROZEN))
  })

  it('are whole and positive', () => {
    for (const [name, value] of Object.entries(limits))
      expect(Number.isSafeInteger(value) && value > 0, name).to.equal(true)
  })

  it('leave the expiry of every row a safe integer', () => {
    expect(Number.isSafeInteger(limits.LOG_TIME_MAX + limits.TTL_MS_MAX)).to.equal(true)
  })
})
