/** Somebody sets the clock of a node by an hour: nothing that it waits for comes later for that, or sooner. */
import { expect } from 'chai'
import { TidemarkError } from './core/errors.ts'
import type { WatchMessage } from './face.ts'
import { openTestNode, text, type TestNode } from './node.fixture.ts'

const HOUR = 3_600_000
const key = Buffer.from('a')
const everything = { start: Buffer.alloc(0), end: undefined }

for (const by of [-HOUR, HOUR])
  describe(`a node whose clock is set by ${by / HOUR} hour`, () => {
    let test: TestNode
    /** What its clock shows. */
    let date: () => number
    beforeEach(async () => {
      test = await openTestNode()
      date = Date.now
    })
    afterEach(() => test.node.close(date() + 1000))

    const jump = (): void => {
      test.jump(by)
      date = () => Date.now() + by
    }

    it('expires rows when they are due in the log', async () => {
      const keys = test.node.keyspace('default')
      const options = { deadline: date() + 5000 }
      const ttlMs = 150
      const written = await keys.write({ kind: 'put', key, value: key, ttlMs }, options)
      const watch = await keys.watch({ range: everything })
      await watch.next()
      const began = performance.now()
      jump()
      const { events } = (await watch.next()).value as WatchMessage
      expect(events.map(({ kind, row }) => [kind, text(row.key)])).to.deep.equal([['expired', 'a']])
      expect(performance.now() - began).to.be.below(5000)
      // Its record is no sooner: the log has the time.
      const { time } = await keys.outcome(written.partition, written.offset, date() + 5000)
      expect(events[0]?.time).to.be.at.least(time + ttlMs)
      await watch.return?.()
    })

    it('ends what waits at its deadline', async () => {
      test.stall()
      const began = performance.now()
      const options = { deadline: date() + 300 }
      const waiting = test.node
        .keyspace('default')
        .write({ kind: 'put', key, value: key }, options)
        .then(
          () => 'written',
          (caught: unknown) => TidemarkError.from(caught).reason,
        )
      jump()
      expect(await waiting).to.equal('DEADLINE_EXCEEDED')
      expect(performance.now() - began).to.be.within(250, 5000)
    })
  })
