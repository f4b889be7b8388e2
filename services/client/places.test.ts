import { expect } from 'chai'
import fc from 'fast-check'
import { PipelineOperationKind as Kind } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { CLIENT_BYTES_IN_FLIGHT_MAX, CLIENT_IN_FLIGHT_MAX } from '../../streams/core/limits.ts'
import { Operation } from './operation.ts'
import { Places } from './places.ts'

const failure = new TidemarkError('NODE_UNREACHABLE', 'lost')

function operation(kind: 'get' | 'put', bytes = 100): Operation {
  const number = kind === 'get' ? Kind.PIPELINE_OPERATION_KIND_GET : Kind.PIPELINE_OPERATION_KIND_PUT
  const made = new Operation(number, Buffer.of(1), 'default', 1000, unexpected, unexpected)
  made.bytes = bytes
  return made
}

const unexpected = (): void => expect.fail('a place tells nobody')

function takeAll(places: Places): Operation[] {
  const taken: Operation[] = []
  for (let next = places.peek(); next !== undefined; next = places.peek()) {
    places.take(next)
    taken.push(next)
  }
  return taken
}

describe('places of a client', () => {
  it('hold their bounds in any order of events', () => {
    const event = fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom('get' as const, 'put' as const) },
      { weight: 4, arbitrary: fc.constant('take' as const) },
      { weight: 4, arbitrary: fc.record({ answer: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ rest: fc.nat() }) },
      { weight: 1, arbitrary: fc.constant('lose' as const) },
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), fc.integer({ min: 1, max: 60 }), (events, burst) => {
        const places = new Places('session')
        const open = new Set<Operation>()
        let newest = 0
        for (const next of events) {
          const sent = [...open].filter(({ stage }) => stage === 'sent')
          if (next === 'get' || next === 'put') {
            for (let n = 0; n < burst; n += 1) {
              const made = operation(next)
              places.add(made)
              open.add(made)
            }
          } else if (next === 'take') {
            for (const taken of takeAll(places)) newest = Math.max(newest, taken.sequence ?? 0)
          } else if (next === 'lose') {
            places.sendAllAgain(failure)
          } else if ('answer' in next) {
            const ended = sent[next.answer % Math.max(1, sent.length)]
            if (ended === undefined) continue
            expect(places.sent(ended.id)).to.equal(ended)
            places.release(ended)
            open.delete(ended)
          } else {
            const resting = sent[next.rest % Math.max(1, sent.length)]
            if (resting !== undefined) resting.stage = 'resting'
          }
          const placed = [...open].filter(({ stage }) => stage !== 'waiting')
          const sequences = placed.flatMap(({ sequence }) => sequence ?? [])
          expect(newest - Math.min(newest, ...sequences)).to.be.lessThan(CLIENT_IN_FLIGHT_MAX)
          expect(placed.filter(({ isRead }) => isRead).length).to.be.at.most(CLIENT_IN_FLIGHT_MAX)
          expect(places.waiting).to.equal(open.size - placed.length)
          expect(places.all().length).to.equal(open.size)
        }
        expect(places.empty).to.equal(open.size === 0)
      }),
      { numRuns: 150 },
    )
  })

  it('keep the order of submission, after a loss too, and leave out what rests', () => {
    const places = new Places('session')
    const all = Array.from({ length: 10 }, (_, n) => operation(n % 2 === 0 ? 'get' : 'put'))
    for (const one of all) places.add(one)
    expect(takeAll(places)).to.deep.equal(all)
    const [first, second] = all
    if (first === undefined || second === undefined) return expect.fail()
    places.release(first)
    second.stage = 'resting'
    const late = operation('get')
    places.add(late)
    places.sendAllAgain(failure)
    expect(takeAll(places)).to.deep.equal([...all.slice(2), late])
    places.sendAgain(second)
    expect(takeAll(places)).to.deep.equal([second])
  })

  it('bound the bytes, but let one large operation pass', () => {
    const places = new Places('session')
    const large = Array.from({ length: 3 }, () => operation('put', CLIENT_BYTES_IN_FLIGHT_MAX))
    for (const one of large) places.add(one)
    for (const one of large) {
      expect(takeAll(places)).to.deep.equal([one])
      places.release(one)
    }
    expect(places.empty).to.equal(true)
  })
})
