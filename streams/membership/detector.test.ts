import { expect } from 'chai'
import type { MapNode } from '../core/cluster-map.ts'
import { EVICTION_REST_MS, PROBE_FAILURES, PROBE_FAILURES_ALONE, PROBE_MS } from '../core/limits.ts'
import { createDetector, successors, type Detector } from './detector.ts'

const node = (nodeId: string, incarnation = '1'): MapNode => ({
  nodeId,
  incarnation,
  address: `${nodeId}:1`,
  zone: '',
  draining: false,
})
const nodes = (ids: string): MapNode[] => Array.from(ids, (id) => node(id))

describe('the failure detector', () => {
  let now: number
  let evicted: string[]
  let probed: string[]
  /** What a probe of a node comes to: an answer, or none for ever. */
  let answers: Map<string, boolean | 'never' | 'throws'>
  let timer: (() => void) | undefined
  let detector: Detector

  /** So many rounds of probes, and the time that they take. */
  const rounds = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) {
      now += PROBE_MS
      timer?.()
      for (let turns = 0; turns < 5; turns++) await Promise.resolve()
    }
  }

  beforeEach(() => {
    now = 1000
    evicted = []
    probed = []
    answers = new Map()
    detector = createDetector({
      nodeId: 'b',
      clock: {
        now: () => 0,
        elapsed: () => now,
        sleep: () => Promise.resolve(),
        every: (ms, callback) => {
          expect(ms).to.equal(PROBE_MS)
          timer = callback
          return () => {
            timer = undefined
          }
        },
      },
      alive: ({ nodeId }) => {
        probed.push(nodeId)
        const answer = answers.get(nodeId) ?? true
        if (answer === 'throws') return Promise.reject(new Error('refused'))
        return answer === 'never' ? new Promise<boolean>(() => undefined) : Promise.resolve(answer)
      },
      evict: ({ nodeId, incarnation }) => evicted.push(`${nodeId}${incarnation}`),
    })
  })

  it('probes the two that follow in the ring', async () => {
    const probedOf = (ids: string, self: string): string =>
      successors(nodes(ids), self)
        .map(({ nodeId }) => nodeId)
        .join('')
    expect(probedOf('abcde', 'b')).to.equal('cd')
    expect(probedOf('edcba', 'd')).to.equal('ea')
    expect(probedOf('abcde', 'e')).to.equal('ab')
    expect(probedOf('abc', 'x')).to.equal('ab')
    expect(probedOf('ab', 'b')).to.equal('a')
    expect(probedOf('b', 'b')).to.equal('')
    detector.watch(nodes('abcde'))
    await rounds(2)
    expect(probed.join('')).to.equal('cdcd')
  })

  for (const answer of [false, 'throws', 'never'] as const) {
    it(`puts out a peer whose probes end with ${answer}, not before the last one of three`, async () => {
      detector.watch(nodes('abcde'))
      answers.set('c', answer)
      // A probe that nothing answers has failed when the next one is due.
      await rounds(PROBE_FAILURES - (answer === 'never' ? 0 : 1))
      expect(evicted).to.deep.equal([])
      await rounds(1)
      expect(evicted).to.deep.equal(['c1'])
      await rounds(1)
      expect(evicted, 'asks again while the peer is in the map').to.deep.equal(['c1', 'c1'])
      detector.watch(nodes('abde'))
      await rounds(5)
      expect(evicted).to.have.length(2)
    })
  }

  it('starts anew when a probe is answered', async () => {
    detector.watch(nodes('abcde'))
    for (let n = 0; n < 4; n++) {
      answers.set('c', false)
      await rounds(PROBE_FAILURES - 1)
      answers.set('c', true)
      await rounds(1)
    }
    expect(evicted).to.deep.equal([])
  })

  it('does not pile up probes that never end', async () => {
    detector.watch(nodes('bc'))
    answers.set('c', 'never')
    await rounds(50)
    expect(probed).to.have.length(PROBE_FAILURES)
    expect(evicted.length).to.be.above(40)
  })

  it('has more patience while all of its peers are silent', async () => {
    detector.watch(nodes('abcde'))
    answers.set('c', false)
    answers.set('d', false)
    await rounds(PROBE_FAILURES_ALONE - 1)
    expect(evicted).to.deep.equal([])
    await rounds(1)
    expect(evicted).to.deep.equal(['c1', 'd1'])
  })

  it('leaves a peer alone that came back without a restart, longer each time', async () => {
    answers.set('c', false)
    const waits: number[] = []
    for (let times = 0; times < 4; times++) {
      detector.watch(nodes('abcde'))
      const start = now
      while (evicted.length === times) await rounds(1)
      waits.push(now - start)
      detector.watch(nodes('abde'))
    }
    expect(waits[0]).to.equal(PROBE_FAILURES * PROBE_MS)
    expect(waits[1]).to.be.within(EVICTION_REST_MS, EVICTION_REST_MS + PROBE_MS)
    expect(waits[2]).to.be.within(2 * EVICTION_REST_MS, 2 * EVICTION_REST_MS + PROBE_MS)
    expect(waits[3]).to.be.within(4 * EVICTION_REST_MS, 4 * EVICTION_REST_MS + PROBE_MS)
  })

  it('puts out at once the next process of a node that it had put out', async () => {
    answers.set('c', false)
    detector.watch(nodes('abcde'))
    await rounds(PROBE_FAILURES)
    detector.watch(nodes('abde'))
    detector.watch([...nodes('abde'), node('c', '2')])
    await rounds(PROBE_FAILURES)
    expect(evicted).to.deep.equal(['c1', 'c2'])
  })

  it('counts anew for another process of the same node', async () => {
    answers.set('c', false)
    detector.watch(nodes('abcde'))
    await rounds(PROBE_FAILURES - 1)
    detector.watch([...nodes('abde'), node('c', '2')])
    await rounds(PROBE_FAILURES - 1)
    expect(evicted).to.deep.equal([])
  })

  it('does nothing after its end', async () => {
    detector.watch(nodes('abcde'))
    answers.set('c', false)
    detector.close()
    await rounds(9)
    expect(evicted).to.deep.equal([])
    expect(timer).to.equal(undefined)
  })
})
