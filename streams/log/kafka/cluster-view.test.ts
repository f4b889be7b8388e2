/** Whom it asks and whom it believes, on brokers that answer as the test says. */
import { expect } from 'chai'
import { must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import type { Channel, Transport } from './client.ts'
import { createClusterView, type ClusterView } from './cluster-view.ts'
import type { Metadata } from './metadata-protocol.ts'

const TOPIC = 't'
const BROKERS = [1, 2, 3].map((nodeId) => ({ nodeId, host: `broker-${nodeId}`, port: 1 }))

const leadBy = (leader: number, leaderEpoch: number): Metadata => ({
  clusterId: 'c',
  controller: 1,
  brokers: BROKERS,
  topics: [
    {
      topic: TOPIC,
      topicId: 'id',
      errorCode: 0,
      partitions: [{ partition: 0, leader, leaderEpoch, replicas: [1, 2, 3] }],
    },
  ],
})

describe('the view of the cluster', () => {
  /** What each broker says; none: it does not answer. */
  let answers: Map<number, Metadata>
  let asked: number[]
  let view: ClusterView

  beforeEach(() => {
    answers = new Map(BROKERS.map(({ nodeId }) => [nodeId, leadBy(1, 5)]))
    asked = []
    const transport: Transport = {
      channel: ({ host }) => {
        const broker = Number(host.at(-1))
        const call = (): Promise<Metadata> => {
          asked.push(broker)
          const answer = answers.get(broker)
          if (answer !== undefined) return Promise.resolve(answer)
          return Promise.reject(new TidemarkError('LOG_UNAVAILABLE', `${host} is silent`))
        }
        return { call, close: () => undefined } as unknown as Channel
      },
    }
    view = createClusterView(transport, [must(BROKERS[0], 'a seed')])
  })
  afterEach(() => view.close())

  const leader = (): number | undefined => view.leader(TOPIC, 0)?.leader

  it('asks the brokers in turn', async () => {
    for (let round = 0; round < 5; round++) await view.refresh([TOPIC])
    expect(asked).to.deep.equal([1, 2, 3, 1, 2])
  })

  it('hears of the leader that replaced a broker which is cut off and answers as if it led', async () => {
    await view.refresh([TOPIC])
    for (const broker of [2, 3]) answers.set(broker, leadBy(2, 6))
    await view.refresh([TOPIC])
    expect(leader()).to.equal(2)
    // Nor does it forget when the old one has its turn again.
    for (let round = 0; round < 3; round++) await view.refresh([TOPIC])
    expect(asked).to.include(1)
    expect(leader()).to.equal(2)
  })

  it('asks one that did not answer after the others only', async () => {
    await view.refresh([TOPIC])
    answers.delete(2)
    for (let round = 0; round < 4; round++) await view.refresh([TOPIC])
    expect(asked).to.deep.equal([1, 2, 3, 1, 3, 1])
    answers.clear()
    let failure: unknown
    await view.refresh([TOPIC]).catch((caught: unknown) => (failure = caught))
    expect(failure).to.be.instanceOf(TidemarkError).with.property('reason', 'LOG_UNAVAILABLE')
    expect(asked.slice(-3)).to.deep.equal([3, 1, 2])
    expect(view.answers).to.equal(false)
    answers.set(2, leadBy(1, 5))
    await view.refresh([TOPIC])
    expect(view.answers).to.equal(true)
  })
})
