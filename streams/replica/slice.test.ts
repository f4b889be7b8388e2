import { expect } from 'chai'
import { APPLY_BYTES_MAX, APPLY_RECORDS_MAX } from '../core/limits.ts'
import { logTime, NO_HEADERS, offset, type LogRecord } from '../core/types.ts'
import { sliceFrom } from './slice.ts'

const records = (count: number, bytes: number): LogRecord[] =>
  Array.from({ length: count }, (_, at) => ({
    offset: offset(at),
    time: logTime(0),
    key: null,
    value: new Uint8Array(bytes),
    headers: NO_HEADERS,
  }))

describe('a slice of records', () => {
  it('has as many as the bounds allow, and one at least', () => {
    const few = records(3, 10)
    expect(sliceFrom(few, 0)).to.equal(few)
    expect(sliceFrom(few, 1)).to.deep.equal(few.slice(1))
    expect(sliceFrom(records(APPLY_RECORDS_MAX + 5, 1), 0)).to.have.length(APPLY_RECORDS_MAX)
    expect(sliceFrom(records(9, APPLY_BYTES_MAX / 4), 0)).to.have.length(4)
    expect(sliceFrom(records(3, APPLY_BYTES_MAX + 1), 1)).to.have.length(1)
  })
})
