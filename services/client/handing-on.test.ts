/**
 * Writes that are handed on between nodes, against the real memory of request ids (streams/core/session.ts): the sequences of a
 * session are used on several nodes and partitions at the same time, nodes die with frames on their way, and frames of the dead
 * come to the log late. Each write must be applied once, and none may be refused as forgotten while its caller waits.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import { PipelineOperationKind as Kind } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { CLIENT_IN_FLIGHT_MAX } from '../../streams/core/limits.ts'
import { newSession, recall, remember, type Session } from '../../streams/core/session.ts'
import type { Outcome } from '../../streams/core/mutation.ts'
import { Operation } from './operation.ts'
import { Places } from './places.ts'

const NODES = 3
const PARTITIONS = 2

/** A write in a frame, as the node got it. */
interface Sent {
  readonly operation: Operation
  readonly id: number
  readonly node: number
  readonly requestId: string
  readonly sequence: number
  readonly partition: number
}

/** What partitions remember. */
class Log {
  readonly applied = new Map<string, number>()
  readonly #sessions = new Map<string, Session>()

  append({ requestId, sequence, partition }: Sent): 'forgotten' | 'answered' {
    const name = `${requestId.split('/')[0]}@${partition}`
    let session = this.#sessions.get(name)
    if (session === undefined) this.#sessions.set(name, (session = newSession(0)))
    const known = recall(session, sequence)
    if (known === 'forgotten') return known
    if (known === 'new') {
      const id = `${requestId}@${partition}`
      this.applied.set(id, (this.applied.get(id) ?? 0) + 1)
      remember(session, sequence, OUTCOME)
    }
    return 'answered'
  }
}

const OUTCOME = { kind: 'applied' } as unknown as Outcome

class World {
  readonly log = new Log()
  readonly places: Places[]
  /** The partition's node, for each partition. */
  readonly way = Array.from({ length: PARTITIONS }, (_, partition) => partition % NODES)
  readonly onTheWay: Sent[][] = Array.from({ length: NODES }, () => [])
  readonly open = new Map<Operation, number>()

  constructor() {
    const ids = { next: 1 }
    this.places = Array.from({ length: NODES }, (_, node) => new Places(`session-${node}`, ids))
  }

  at(node: number): Places {
    const places = this.places[node]
    if (places === undefined) throw new Error(`no node ${node}`)
    return places
  }

  submit(partition: number): void {
    const unexpected = (): void => expect.fail('places tell nobody')
    const kind = Kind.PIPELINE_OPERATION_KIND_PUT
    const operation = new Operation(kind, Buffer.of(partition), 'default', 1000, unexpected, unexpected)
    operation.bytes = 100
    this.open.set(operation, partition)
    this.at(this.way[partition] ?? 0).add(operation)
  }

  /** Puts what may go on the way. */
  flush(node: number): void {
    const places = this.at(node)
    for (let next = places.peek(); next !== undefined; next = places.peek()) {
      places.take(next)
      const { id, sequence = 0, home } = next
      const requestId = `${home?.session ?? ''}/${sequence}`
      const partition = this.open.get(next) ?? 0
      this.onTheWay[node]?.push({ operation: next, id, node, requestId, sequence, partition })
    }
  }

  /** The node does what came to it, and answers, or its answers are lost. */
  work(node: number, most: number, answers: boolean): void {
    for (const sent of this.onTheWay[node]?.splice(0, most) ?? []) {
      const became = this.log.append(sent)
      const { operation, id } = sent
      if (this.open.has(operation)) expect(became, sent.requestId).to.equal('answered')
      const own = answers && this.at(node).sent(id) === operation
      if (!own) continue
      this.at(node).release(operation)
      this.open.delete(operation)
    }
  }

  /** The partition goes another way: all its writes are handed on. */
  move(partition: number, to: number): void {
    this.way[partition] = to
    for (const places of this.places) {
      if (places === this.at(to)) continue
      for (const operation of places.withdraw((one) => this.open.get(one) === partition))
        this.at(to).adopt(operation)
    }
  }
}

describe('writes handed on between nodes', () => {
  it('are applied once each, and never forgotten while someone waits', () => {
    const event = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          submit: fc.nat(PARTITIONS - 1),
          count: fc.integer({ min: 1, max: CLIENT_IN_FLIGHT_MAX }),
        }),
      },
      { weight: 5, arbitrary: fc.record({ flush: fc.nat(NODES - 1) }) },
      {
        weight: 6,
        arbitrary: fc.record({
          work: fc.nat(NODES - 1),
          most: fc.integer({ min: 1, max: 2000 }),
          answers: fc.boolean(),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ move: fc.nat(PARTITIONS - 1), to: fc.nat(NODES - 1) }),
      },
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), (events) => {
        const world = new World()
        let submitted = 0
        for (const next of events) {
          if ('submit' in next) {
            for (let n = 0; n < next.count; n += 1) world.submit(next.submit)
            submitted += next.count
          } else if ('flush' in next) world.flush(next.flush)
          else if ('work' in next) world.work(next.work, next.most, next.answers)
          else world.move(next.move, next.to)
        }
        // Peace: everything goes one way until all is answered.
        for (let partition = 0; partition < PARTITIONS; partition += 1) world.move(partition, 0)
        for (const operation of world.at(0).all())
          if (operation.stage === 'sent') world.at(0).sendAgain(operation)
        while (world.open.size > 0) {
          for (let node = 0; node < NODES; node += 1) {
            world.flush(node)
            world.work(node, Infinity, true)
          }
        }
        expect(world.log.applied.size).to.equal(submitted)
        expect([...world.log.applied.values()].every((times) => times === 1)).to.equal(true)
        expect(world.places.every(({ empty }) => empty)).to.equal(true)
      }),
      { numRuns: 60 },
    )
  })

  it('keep their order, and get ids that no node has seen', () => {
    const world = new World()
    for (let n = 0; n < 50; n += 1) world.submit(1)
    const before = world.at(1).all()
    world.flush(1)
    for (let n = 0; n < 10; n += 1) world.submit(1)
    const all = world.at(1).all()
    const ids = new Set(all.map(({ id }) => id))
    world.move(1, 2)
    expect(world.at(1).empty).to.equal(true)
    expect(world.at(2).all()).to.deep.equal(all)
    world.flush(2)
    expect(world.onTheWay[2]?.map(({ operation }) => operation)).to.deep.equal(all)
    expect(world.onTheWay[2]?.slice(0, 50).every(({ id }) => !ids.has(id))).to.equal(true)
    expect(new Set(before.map(({ home }) => home))).to.deep.equal(new Set([world.at(1)]))
  })

  it('hold the places of their sequences where they got them', () => {
    const world = new World()
    for (let n = 0; n < CLIENT_IN_FLIGHT_MAX; n += 1) world.submit(1)
    world.flush(1)
    world.move(1, 2)
    world.way[1] = 1
    world.submit(1)
    expect(world.at(1).peek(), 'the span of the session is used up').to.equal(undefined)
    world.flush(2)
    world.work(2, 1, true)
    expect(world.at(1).peek()).to.not.equal(undefined)
  })
})
