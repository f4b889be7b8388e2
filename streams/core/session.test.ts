import { expect } from 'chai'
import fc from 'fast-check'
import { DEDUPE_SEQUENCES_MAX } from './limits.ts'
import type { Outcome } from './mutation.ts'
import { addChunks, decodeHead, encodeChunk, encodeHead, newSession, recall, remember } from './session.ts'
import type { Session } from './session.ts'
import type { Offset } from './types.ts'

const outcome = (offset: number): Outcome => ({
  status: 'applied',
  offset: offset as Offset,
  version: offset as Offset,
  duplicate: false,
})
const CHUNK = 64
/** What a session remembers at most: all chunks full. */
const KEPT_MAX = DEDUPE_SEQUENCES_MAX + CHUNK

function filled(sequences: readonly number[]): Session {
  const session = newSession(1)
  for (const sequence of sequences) remember(session, sequence, outcome(sequence))
  return session
}
const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at)

/** A store of one session's rows, written as the working set writes them. */
class Shelf {
  head: Buffer | undefined
  readonly chunks = new Map<number, Buffer>()

  save(session: Session): void {
    for (const chunk of session.dropped) this.chunks.delete(chunk)
    for (const chunk of session.unsaved) this.chunks.set(chunk, encodeChunk(session, chunk))
    this.head = encodeHead(session)
    session.dropped = []
    session.unsaved = []
  }

  load(): Session {
    const session = decodeHead(this.head ?? Buffer.alloc(0))
    const full: Buffer[] = []
    for (let chunk = session.firstChunk; chunk < session.nextChunk; chunk++)
      full.push(this.chunks.get(chunk) ?? Buffer.alloc(0))
    addChunks(session, full)
    return session
  }
}

describe('session', () => {
  it('knows new sequences from those that it has seen', () => {
    const session = filled([5, 3, 9])
    expect(recall(session, 3)).to.deep.equal(outcome(3))
    expect(recall(session, 4)).to.equal('new')
    expect(recall(session, 10)).to.equal('new')
  })

  it('keeps the first outcome of a sequence', () => {
    const session = filled([5])
    remember(session, 5, outcome(77))
    expect(recall(session, 5)).to.deep.equal(outcome(5))
    expect(session.chunks).to.deep.equal([[5]])
  })

  it(`remembers the last ${DEDUPE_SEQUENCES_MAX} sequences whatever comes`, () => {
    for (const count of [DEDUPE_SEQUENCES_MAX, KEPT_MAX, KEPT_MAX + 1, 3 * KEPT_MAX + 7]) {
      const session = filled(upTo(count))
      for (let back = 1; back <= Math.min(count, DEDUPE_SEQUENCES_MAX); back++)
        expect(recall(session, count - back), `${back} before ${count}`).to.deep.equal(outcome(count - back))
    }
  })

  it('forgets the oldest chunk when one more would be begun, and refuses what lies below the greatest of it', () => {
    const session = filled(upTo(KEPT_MAX))
    expect(recall(session, 0)).to.deep.equal(outcome(0))
    remember(session, KEPT_MAX, outcome(KEPT_MAX))
    expect(session.floor).to.equal(CHUNK)
    expect(recall(session, CHUNK - 1)).to.equal('forgotten')
    expect(recall(session, CHUNK)).to.deep.equal(outcome(CHUNK))
  })

  it('refuses an old sequence that never came, but knows a low one that came late', () => {
    const session = filled(upTo(KEPT_MAX).map((at) => at + 1000))
    remember(session, 7, outcome(7))
    expect(session.floor).to.equal(1000 + CHUNK)
    expect(recall(session, 7), 'came after the floor had risen over it').to.deep.equal(outcome(7))
    expect(recall(session, 8)).to.equal('forgotten')
  })

  it('is the same from the store as in memory, however often it is saved', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3000), fc.boolean()), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 90 }),
        (steps, burst) => {
          const kept = newSession(1)
          const shelf = new Shelf()
          let loaded = newSession(1)
          let next = 0
          for (const [back, save] of steps) {
            for (let at = 0; at < burst; at++) {
              const sequence = at % 7 === 0 ? Math.max(0, next - back) : next++
              expect(recall(loaded, sequence)).to.deep.equal(recall(kept, sequence))
              if (recall(kept, sequence) !== 'new') continue
              remember(kept, sequence, outcome(sequence))
              remember(loaded, sequence, outcome(sequence))
            }
            if (!save) continue
            shelf.save(loaded)
            loaded = shelf.load()
          }
          shelf.save(loaded)
          expect(shelf.load()).to.deep.equal({ ...kept, unsaved: [], dropped: [] })
          expect([...shelf.chunks.keys()].sort((a, b) => a - b)).to.deep.equal(
            upTo(kept.nextChunk - kept.firstChunk).map((at) => at + kept.firstChunk),
          )
        },
      ),
      { numRuns: 60 },
    )
  })

  it('has frozen bytes', () => {
    const session = filled([300])
    session.arrival = 9
    expect(encodeHead(session).toString('hex')).to.equal(
      '09' + '00' + '00' + '00' + '01' + 'ac02' + '0020ac02',
    )
  })
})
