import { expect } from 'chai'
import { MARK_KEYS, Marks, newestMark } from './continuity.ts'

/** A ring of marks after `count` of them were written. */
function ring(count: number): (Uint8Array | undefined)[] {
  const values: (Uint8Array | undefined)[] = MARK_KEYS.map(() => undefined)
  const marks = new Marks(0, 64)
  for (let n = 0; n < count; n += 1) {
    const mark = marks.due()
    if (mark === undefined) throw new Error('no mark is due')
    values[MARK_KEYS.indexOf(mark.key)] = mark.value
    marks.written(1)
  }
  return values
}

describe('continuity marks', () => {
  it('are due with the first write, and then each time that enough was written', () => {
    const marks = new Marks(41, 64_000)
    expect(marks.due()).to.not.equal(undefined)
    marks.written(999)
    expect(marks.due()).to.equal(undefined)
    marks.written(1)
    expect(marks.due()).to.not.equal(undefined)
    marks.written(0)
    expect(marks.due()).to.equal(undefined)
  })

  it('are whole in a new store, and however often the ring went round', () => {
    for (const count of [0, 1, 2, 255, 256, 257, 1000])
      expect(newestMark(ring(count)), `${count} marks`).to.equal(count)
  })

  it('show each hole behind which there is a mark', () => {
    for (const count of [3, 256, 300, 1000])
      for (const lost of [count - 1, count - 2, Math.max(1, count - 255)]) {
        const values = ring(count)
        values[lost % 256] = ring(count - 256)[lost % 256]
        expect(newestMark(values), `mark ${lost} of ${count}`).to.equal(undefined)
      }
  })

  it('show no hole where the end is lost: that is the store of an earlier time', () => {
    for (const count of [3, 300]) {
      const values = ring(count)
      for (let lost = count; lost > count - 2; lost -= 1) values[lost % 256] = ring(count - 256)[lost % 256]
      expect(newestMark(values)).to.equal(count - 2)
    }
  })
})
