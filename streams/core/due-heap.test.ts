import { expect } from 'chai'
import fc from 'fast-check'
import { DueHeap, dueOrder } from './due-heap.ts'
import type { Due } from './due-heap.ts'

const due = fc.record({ at: fc.nat(20), key: fc.uint8Array({ minLength: 1, maxLength: 2 }) })

describe('due heap', () => {
  it('gives what was put in by time, then key, whatever was taken between', () => {
    fc.assert(
      fc.property(fc.array(fc.option(due), { maxLength: 200 }), (steps) => {
        const heap = new DueHeap()
        const model: Due[] = []
        for (const step of steps) {
          if (step === null) {
            heap.removeFirst()
            model.shift()
          } else {
            heap.add(step)
            model.push(step)
            model.sort(dueOrder)
          }
          expect(heap.first).to.deep.equal(model[0])
        }
      }),
    )
  })

  it('has no first when it is empty', () => {
    const heap = new DueHeap()
    heap.removeFirst()
    expect(heap.first).to.equal(undefined)
  })
})
