import { expect } from 'chai'
import { NO_HEADERS, logTime, offset, type LogRecord } from '../core/types.ts'
import { LogSight } from './log-sight.ts'
import { HandClock } from './replica.fake.ts'

const recordAt = (time: number): LogRecord => ({
  offset: offset(0),
  time: logTime(time),
  key: null,
  value: null,
  headers: NO_HEADERS,
})

describe('what is seen of a log', () => {
  it('tells the time of the log by its last record and what has elapsed, whatever the date is here', () => {
    const clock = new HandClock()
    const sight = new LogSight(clock, offset(3))
    expect(sight.time).to.equal(-Infinity)
    sight.saw({ logEnd: offset(4), records: [recordAt(100), recordAt(5000)] })
    clock.jump(-3_600_000)
    clock.advance(70)
    expect(sight.time).to.equal(5070)
    sight.saw({ logEnd: offset(4), records: [] })
    clock.advance(1)
    expect(sight.time).to.equal(5071)
    // The clock of a broker that leads now is behind.
    sight.saw({ logEnd: offset(5), records: [recordAt(4000)] })
    expect(sight.time).to.equal(4000)
  })

  it('tells how long ago it saw the end, also after the clock was put back', () => {
    const clock = new HandClock()
    const sight = new LogSight(clock, offset(3))
    expect([sight.end, sight.endAgeMs]).to.deep.equal([3, 0])
    sight.reaches(offset(9))
    sight.reaches(offset(2))
    expect(sight.end).to.equal(9)
    sight.saw({ logEnd: offset(10), records: [] })
    clock.jump(-3_600_000)
    clock.advance(40)
    expect([sight.end, sight.endAgeMs]).to.deep.equal([10, 40])
  })
})
