import { expect } from 'chai'
import fc from 'fast-check'
import { createAbortFilter } from './aborted.ts'
import type { AbortedTransaction } from './fetch-protocol.ts'
import type { BatchHeader } from './record-batch.ts'

const header = (baseOffset: number, producerId: number, more: Partial<BatchHeader> = {}): BatchHeader => ({
  end: 0,
  baseOffset,
  nextOffset: baseOffset + 1,
  compression: 0,
  transactional: true,
  control: false,
  producerId,
  baseTime: 0,
  appendTime: 0,
  count: 1,
  ...more,
})

describe('the filter of aborted transactions', () => {
  it('keeps plain batches of a producer whose transaction is aborted', () => {
    const filter = createAbortFilter([{ producerId: 1, firstOffset: 0 }])
    expect(filter.drops(header(0, 1), false)).to.equal(true)
    expect(filter.drops(header(1, 1, { transactional: false }), false)).to.equal(false)
  })

  it('drops what it should of any interleaving, whatever the order in which the broker lists the transactions', () => {
    // A log of steps of three producers: write, commit or abort. What the model keeps is what a commit ends.
    const step = fc.record({ producer: fc.nat(2), act: fc.constantFrom('write', 'write', 'commit', 'abort') })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(), (steps, shuffle) => {
        const open = new Map<number, number[]>()
        const wanted = new Set<number>()
        const aborted: AbortedTransaction[] = []
        const log: { header: BatchHeader; abort: boolean }[] = []
        for (const [offset, { producer, act }] of steps.entries()) {
          const control = act !== 'write'
          log.push({ header: header(offset, producer, { control }), abort: act === 'abort' })
          const writes = open.get(producer) ?? []
          if (!control) open.set(producer, [...writes, offset])
          else {
            open.delete(producer)
            if (act === 'commit') for (const one of writes) wanted.add(one)
            else if (writes[0] !== undefined) aborted.push({ producerId: producer, firstOffset: writes[0] })
          }
        }
        // What is open at the end lies past the last stable offset, and is not fetched.
        const lastStable = Math.min(steps.length, ...[...open.values()].flatMap((writes) => writes[0] ?? []))
        const filter = createAbortFilter(
          aborted.toSorted(
            (a, b) => ((a.firstOffset * 7 + shuffle) % 5) - ((b.firstOffset * 7 + shuffle) % 5),
          ),
        )
        for (const { header: one, abort } of log.slice(0, lastStable)) {
          const dropped = filter.drops(one, abort)
          if (!one.control) expect(dropped, `offset ${one.baseOffset}`).to.equal(!wanted.has(one.baseOffset))
        }
      }),
      { numRuns: 500 },
    )
  })
})
