/** Membership while brokers die, stand still and come back: on brokers of this suite's own. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import type { KafkaBroker } from '../../../infra/kafka/broker.ts'
import { freePorts } from '../../../infra/kafka/ports.ts'
import { startKafka, type KafkaCluster } from '../../../infra/kafka/start.ts'
import { freshName, withJava } from '../../../infra/kafka/with-kafka.ts'
import { must } from '../../core/assert.ts'
import { topicOf } from '../../core/testing/members.ts'
import { parseAddress } from '../../log/kafka/address.ts'
import { createTransport } from '../../log/kafka/client.ts'
import { CODE, describeGroupCall, findCoordinatorCall } from './group-protocol.ts'
import { mapOf, nowConnected, nowLost, openMember, type Member } from './member.fixture.ts'

const NAMES = ['a', 'b', 'c']

describe('faults under membership on Kafka', function () {
  this.timeout(120_000)
  withJava()
  const members = new Set<Member>()
  let kafka: KafkaCluster
  let cluster: string

  const open = async (nodeId: string, brokers: readonly string[] = kafka.bootstrap): Promise<Member> => {
    const member = await openMember({ brokers, cluster, nodeId, detects: false })
    members.add(member)
    return member
  }

  /** Of a broker that answers: which one coordinates the group, and the member id of each client. */
  const ask = async (not?: KafkaBroker): Promise<{ broker: KafkaBroker; ids: Map<string, string> }> => {
    const transport = createTransport({ clientId: 'test' }, 1000)
    const group = `${cluster}.leaders`
    for (;;) {
      for (const broker of kafka.brokers.filter(({ port, pid }) => port !== not?.port && pid !== undefined)) {
        const channel = transport.channel({ host: '127.0.0.1', port: broker.port })
        try {
          const { port } = await channel.call(findCoordinatorCall(group), 1000)
          const found = kafka.brokers.find((one) => one.port === port)
          if (found === undefined || found.port === not?.port) continue
          const aside = transport.channel({ host: '127.0.0.1', port })
          const answer = await aside.call(describeGroupCall(group), 1000).finally(() => {
            aside.close()
          })
          if (answer.errorCode !== CODE.NONE || answer.members.length === 0) continue
          const ids = new Map(answer.members.map(({ clientId, memberId }) => [clientId, memberId]))
          return { broker: found, ids }
        } catch {
          // It is gone, or does not know yet.
        } finally {
          channel.close()
        }
      }
      await sleep(100)
    }
  }

  beforeEach(() => {
    cluster = freshName('faults')
  })
  afterEach(async () => {
    await Promise.all([...members].map((member) => member.close()))
    members.clear()
    await kafka.stop()
  })

  describe('with three brokers', () => {
    let three: Member[]
    beforeEach(async () => {
      kafka = await startKafka({ brokers: 3 })
      three = await Promise.all(NAMES.map((nodeId) => open(nodeId)))
      for (const member of three) {
        await member.until(mapOf(NAMES))
        await member.until(nowConnected)
      }
    })

    /** Until all are connected after the given moment; the milliseconds that the slowest took. */
    const connectedAgain = async (since: number): Promise<number> => {
      for (const member of three) {
        await member.until((seen) =>
          seen.connected.some(({ value, at }) => !value && at >= since) ? nowConnected(seen) : undefined,
        )
      }
      return Math.max(...three.map(({ seen }) => must(seen.connected.at(-1), 'a change').at)) - since
    }

    it('keeps its members through the death of the coordinator, and its return', async () => {
      const before = await ask()
      const start = Date.now()
      await before.broker.stop('SIGKILL')
      const lost = await connectedAgain(start)
      console.log(`      coordinator killed → all connected again: ${lost} ms`)
      const after = await ask(before.broker)
      expect(after.broker.port).to.not.equal(before.broker.port)
      expect([...after.ids].sort()).to.deep.equal([...before.ids].sort())

      await before.broker.start()
      const next = await ask()
      const changes = three.map(({ seen }) => seen.connected.length)
      const stopped = Date.now()
      await next.broker.stop('SIGTERM')
      const last = await ask(next.broker)
      expect([...last.ids].sort(), 'a clean stop').to.deep.equal([...before.ids].sort())
      await sleep(500)
      for (const member of three) await member.until(nowConnected)
      const flips = three.map(({ seen }, at) => seen.connected.length - must(changes[at], 'a count'))
      console.log(
        `      coordinator stopped cleanly in ${Date.now() - stopped} ms; changes of connected$: ${flips.join()}`,
      )
      three[0]?.announce({ zone: 'after' })
      for (const member of three) {
        await member.until(({ maps }) => (maps.at(-1)?.map.nodes[0]?.zone === 'after' ? true : undefined))
        for (const told of member.seen.told) expect(told).to.match(/^(trouble|recovered): .*group/)
        const troubles = member.seen.told.filter((told) => told.startsWith('trouble')).length
        expect(member.seen.told.length, 'each trouble is over').to.equal(2 * troubles)
      }
    })

    it('leaves a coordinator that stands still, and is not taken in when it wakes up', async () => {
      const before = await ask()
      const start = Date.now()
      process.kill(must(before.broker.pid, 'its process id'), 'SIGSTOP')
      try {
        const lost = await connectedAgain(start)
        console.log(`      coordinator stood still → all connected again: ${lost} ms`)
        const after = await ask(before.broker)
        expect([...after.ids].sort()).to.deep.equal([...before.ids].sort())
      } finally {
        process.kill(must(before.broker.pid, 'its process id'), 'SIGCONT')
      }
      three[0]?.announce({ zone: 'after' })
      for (const member of three) {
        await member.until(({ maps }) => (maps.at(-1)?.map.nodes[0]?.zone === 'after' ? true : undefined))
        await member.until(nowConnected)
      }
    })
  })

  it('waits for a broker that is down at the start, and says so once', async () => {
    const port = must((await freePorts(1))[0], 'a port')
    const a = await open('a', [`127.0.0.1:${port}`])
    await a.until(({ told }) => (told.length > 0 ? true : undefined))
    await sleep(300)
    kafka = await startKafka({ port })
    await a.until(nowConnected)
    expect(a.seen.told).to.have.length(2)
    expect(a.seen.told[0]).to.match(
      /^trouble: This node cannot be in the group .* tries on, .* cannot be used/,
    )
    expect(a.seen.told[1]).to.match(/^recovered: The trouble with the way to the group .* is over after/)
    expect(parseAddress(`[::1]:${port}`)).to.deep.equal({ host: '::1', port })
  })

  it('says which setting of the brokers is too small for the group, and goes on when it fits', async () => {
    kafka = await startKafka({ settings: { 'message.max.bytes': 20_000 } })
    const a = await openMember({ brokers: kafka.bootstrap, cluster, nodeId: 'a', detects: false })
    members.add(a)
    await a.until(nowConnected)
    const topics = Array.from({ length: 60 }, (_, n) =>
      topicOf(`${cluster}.${n}`, 4, 1, randomBytes(200).toString('hex')),
    )
    a.announce({ topics })
    const told = await a.until((seen) => seen.told.find((text) => text.includes('message.max.bytes')))
    expect(told).to.match(
      /The group of 1 nodes takes \d+ bytes: its brokers need a message.max.bytes above that/,
    )
    a.announce({ topics: topics.slice(0, 3) })
    await a.until(({ maps }) => (maps.at(-1)?.map.topics.length === 3 ? true : undefined))
    await a.until(nowConnected)
    expect(a.seen.told.at(-1)).to.match(/^recovered/)
  })

  it('goes on as the same member when the only broker comes back', async () => {
    kafka = await startKafka()
    const a = await open('a')
    await a.until(nowConnected)
    const before = await ask()
    const start = Date.now()
    await before.broker.stop('SIGKILL')
    await a.until(nowLost)
    console.log(
      `      Kafka gone → not connected: ${must(a.seen.connected.at(-1), 'a change').at - start} ms`,
    )
    await before.broker.start()
    await a.until(nowConnected)
    expect((await ask()).ids).to.deep.equal(before.ids)
    expect(a.seen.maps, 'no new map was needed').to.have.length(1)
  })
})
