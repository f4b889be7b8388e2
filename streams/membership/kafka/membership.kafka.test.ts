/** Membership on a real broker: who is in the map, how soon the others know, and what happens to the dead, the stalled and the doubled. */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { AssignerProtocol, Kafka, logLevel } from 'kafkajs'
import { withKafka } from '../../../infra/kafka/with-kafka.ts'
import { must } from '../../core/assert.ts'
import { MEMBER_SESSION_MS, MEMBER_SILENT_MS } from '../../core/limits.ts'
import { NO_HEADERS, offset, partition } from '../../core/types.ts'
import { openKafkaLog } from '../../log/kafka/log.ts'
import { systemClock } from '../../system.ts'
import { membershipContract } from '../membership.contract.ts'
import type { Membership } from '../membership.ts'
import {
  forkMember,
  mapOf,
  nodeIds,
  nowConnected,
  nowLost,
  openMember,
  type ChildMember,
  type Member,
  type MemberPlan,
} from './member.fixture.ts'
import { openKafkaMembership } from './membership.ts'

/**
 * Milliseconds. What waits for a session or a gathering to run out takes longer than this on any machine, and what does not wait is
 * below it, though other work holds the machine for a second or two. `npm run cluster:figures` measures how soon things are.
 */
const TIMED_OUT_MS = MEMBER_SESSION_MS - 1500

const say = (text: string): void => {
  console.log(`      ${text}`)
}

describe('membership on Kafka', function () {
  this.timeout(60_000)
  const kafka = withKafka()
  const members = new Set<Member>()
  const children = new Set<ChildMember>()
  let cluster: string

  const plan = (nodeId: string, more: Partial<MemberPlan> = {}): MemberPlan => ({
    brokers: kafka.bootstrap,
    cluster,
    nodeId,
    detects: false,
    ...more,
  })
  const open = async (nodeId: string, more: Partial<MemberPlan> = {}): Promise<Member> => {
    const member = await openMember(plan(nodeId, more))
    members.add(member)
    return member
  }
  const spawn = (nodeId: string, more: Partial<MemberPlan> = {}): ChildMember => {
    const child = forkMember(plan(nodeId, more))
    children.add(child)
    return child
  }
  const kill = async (child: ChildMember): Promise<void> => {
    if (child.process.exitCode !== null || child.process.signalCode !== null) return
    const gone = once(child.process, 'exit')
    child.process.kill('SIGKILL')
    await gone
  }

  before('the first group of a broker waits for its topic', async () => {
    const member = await openMember({
      brokers: kafka.bootstrap,
      cluster: kafka.freshName('first'),
      nodeId: 'a',
      detects: false,
    })
    await member.until(nowConnected)
    await member.close()
  })
  beforeEach(() => {
    cluster = kafka.freshName('members')
  })
  afterEach(async () => {
    for (const child of children) await kill(child)
    await Promise.all([...members].map((member) => member.close()))
    members.clear()
    children.clear()
  })

  membershipContract('Kafka', { several: true, patience: 20_000 }, async () => {
    const opened: Membership[] = []
    return {
      member() {
        const membership = openKafkaMembership({
          brokers: kafka.bootstrap,
          cluster,
          clock: systemClock,
          telemetry: { trouble: () => undefined, recovered: () => undefined },
          replaced: () => undefined,
        })
        opened.push(membership)
        return membership
      },
      async dispose() {
        await Promise.all(opened.map((membership) => membership.close()))
      },
    }
  })

  it('shows the same map to all members', async () => {
    const three = await Promise.all(['a', 'b', 'c'].map((nodeId) => open(nodeId)))
    const found = await Promise.all(three.map((member) => member.until(mapOf(['a', 'b', 'c']))))
    const last = await Promise.all(
      three.map((member) =>
        member.until(({ maps }) =>
          maps.find(({ map }) => map.generation === Math.max(...found.map((one) => one.map.generation))),
        ),
      ),
    )
    for (const { map } of last) expect(map).to.deep.equal(must(last[0], 'a map').map)
    for (const member of three) {
      await member.until(nowConnected)
      const generations = member.seen.maps.map(({ map }) => map.generation)
      expect(generations).to.deep.equal([...generations].sort((x, y) => x - y))
      expect(member.seen.told).to.deep.equal([])
    }
  })

  it('tells the others at once when a member leaves', async () => {
    const [a, b, c] = await Promise.all([open('a'), open('b'), open('c')])
    for (const member of [a, b, c]) await member.until(mapOf(['a', 'b', 'c']))
    const times: number[] = []
    for (let round = 0; round < 5; round++) {
      const before = [a, b, c].map((member) => member.seen.maps.length)
      const joining = await open('d')
      for (const [at, member] of [a, b, c].entries())
        await member.until(mapOf(['a', 'b', 'c', 'd'], before[at]))
      await sleep(50 * round)
      const from = a.seen.maps.length
      const start = Date.now()
      await joining.close()
      members.delete(joining)
      times.push((await a.until(mapOf(['a', 'b', 'c'], from))).at - start)
    }
    say(`leave → new map: ${times.map((ms) => `${ms} ms`).join(', ')}`)
    expect(Math.min(...times)).to.be.below(500)
    for (const member of [a, b, c]) expect(member.seen.told).to.deep.equal([])
  })

  it('puts out a member that was killed', async () => {
    const [a, b] = await Promise.all([open('a', { detects: true }), open('b', { detects: true })])
    const times: number[] = []
    for (let round = 0; round < 3; round++) {
      const c = spawn('c')
      const { at } = await c.until(mapOf(['a', 'b', 'c']))
      for (const member of [a, b]) await member.until(mapOf(['a', 'b', 'c'], member.seen.maps.length - 1))
      await sleep(100 * round)
      const from = a.seen.maps.length
      const start = Date.now()
      c.process.kill('SIGKILL')
      times.push((await a.until(mapOf(['a', 'b'], from))).at - start)
      expect(start).to.be.at.least(at)
    }
    say(`killed → new map: ${times.map((ms) => `${ms} ms`).join(', ')}`)
    expect(Math.min(...times)).to.be.below(1500)
    expect([...a.seen.told, ...b.seen.told].join()).to.include('Node c does not answer')
    expect(a.seen.connected.at(-1)?.value).to.equal(true)
  })

  it('puts out a member that was killed while the group waits for it', async () => {
    const [a, b] = await Promise.all([open('a', { detects: true }), open('b', { detects: true })])
    const c = spawn('c')
    for (const member of [c, a, b]) await member.until(mapOf(['a', 'b', 'c']))
    for (const member of [a, b]) await member.until(nowConnected)
    const from = a.seen.maps.length
    c.process.kill('SIGSTOP')
    a.announce({ zone: 'gather' })
    await sleep(300)
    const start = Date.now()
    await kill(c)
    const { at } = await a.until(mapOf(['a', 'b'], from))
    say(`killed while the group gathers → new map: ${at - start} ms`)
    expect(at - start).to.be.below(TIMED_OUT_MS)
  })

  it('takes back a member that stood still for longer than its session', async () => {
    const a = await open('a')
    const b = spawn('b')
    await b.until(mapOf(['a', 'b']))
    await b.until(nowConnected)
    await a.until(mapOf(['a', 'b']))
    const from = a.seen.maps.length
    const start = Date.now()
    b.process.kill('SIGSTOP')
    const { at } = await a.until(mapOf(['a'], from))
    say(`stood still → new map: ${at - start} ms`)
    expect(at - start).to.be.within(MEMBER_SESSION_MS - 500, 3 * MEMBER_SESSION_MS)
    b.process.kill('SIGCONT')
    const woken = Date.now()
    const back = await a.until(mapOf(['a', 'b'], from))
    say(`awake → new map: ${back.at - woken} ms`)
    const lost = await b.until(({ connected }) =>
      connected.find(({ value, at: when }) => !value && when >= start),
    )
    await b.until(nowConnected)
    expect(lost.at - woken).to.be.below(MEMBER_SILENT_MS)
    const before = must(
      b.seen.maps.find(({ map }) => map.nodes.length === 2),
      'a map',
    ).map.nodes[1]
    expect(back.map.nodes[1]).to.deep.equal(before)
  })

  it('takes back at once a member that was put out while it lived', async () => {
    const [a, b] = await Promise.all([open('a'), open('b')])
    for (const member of [a, b]) await member.until(mapOf(['a', 'b']))
    for (const member of [a, b]) await member.until(nowConnected)
    const from = a.seen.maps.length
    await a.membership.evict('b', 'of another time')
    await a.membership.evict('b', b.state.incarnation)
    const start = Date.now()
    await b.until(nowLost)
    const back = await a.until(mapOf(['a', 'b'], from))
    say(`put out → back: ${back.at - start} ms`)
    expect(back.at - start).to.be.below(TIMED_OUT_MS)
    expect(back.map.nodes[1]?.incarnation).to.equal(b.state.incarnation)
    await b.until(nowConnected)
    expect(b.seen.told.join()).to.match(/took this node for dead.*recovered/)
  })

  it('does not wait for the session of an earlier process of the same node', async () => {
    const a = await open('a')
    const old = spawn('b')
    await old.until(mapOf(['a', 'b']))
    await a.until(mapOf(['a', 'b']))
    await kill(old)
    const start = Date.now()
    const b = await open('b')
    const { at, map } = await b.until(mapOf(['a', 'b']))
    say(`restarted → in the map: ${at - start} ms`)
    expect(at - start).to.be.below(TIMED_OUT_MS)
    expect(map.nodes[1]?.incarnation).to.equal(b.state.incarnation)
  })

  it('lets the later one of two processes with one node id win, and tells the earlier one', async () => {
    const a = await open('a')
    const old = await open('b')
    await old.until(mapOf(['a', 'b']))
    const newer = await open('b')
    await old.until(({ failure }) => failure)
    expect(old.seen.failure).to.match(/^Another process runs as node b of cluster .* and came later/)
    expect(old.seen.connected.at(-1)?.value).to.equal(false)
    await newer.until(nowConnected)
    const { map } = must(newer.seen.maps.at(-1), 'a map')
    expect(map.nodes.find(({ nodeId }) => nodeId === 'b')?.incarnation).to.equal(newer.state.incarnation)
    await a.until(({ maps }) =>
      maps.at(-1)?.map.nodes[1]?.incarnation === newer.state.incarnation ? true : undefined,
    )
    expect(newer.seen.failure).to.equal(undefined)
  })

  it('makes few maps of a storm of changes, and the last one tells all', async () => {
    const three = await Promise.all(['a', 'b', 'c'].map((nodeId) => open(nodeId)))
    for (const member of three) await member.until(mapOf(['a', 'b', 'c']))
    const [a] = three
    const before = must(must(a, 'a').seen.maps.at(-1), 'a map').map.generation
    const start = Date.now()
    for (let n = 1; n <= 100; n++) {
      for (const member of three) member.announce({ zone: `zone-${n}` })
      await sleep(5)
    }
    const took = Date.now() - start
    for (const member of three) {
      await member.until(({ maps }) =>
        maps.at(-1)?.map.nodes.every(({ zone }) => zone === 'zone-100') === true ? true : undefined,
      )
    }
    const maps = must(must(a, 'a').seen.maps.at(-1), 'a map').map.generation - before
    say(`300 announcements in ${took} ms → ${maps} maps`)
    expect(maps).to.be.at.most(3 + took / 75)
  })

  it('does not touch the readers and writers of the log while the group gathers again and again', async () => {
    const log = await openKafkaLog({
      brokers: kafka.bootstrap,
      clientId: 'data',
      dev: true,
      telemetry: { trouble: () => undefined, recovered: () => undefined },
    })
    try {
      const topic = await log.createTopic(`${cluster}.data`, {
        partitions: 1,
        valueBytesMax: 1024,
        replication: 1,
      })
      const reader = log.read(topic.topic, partition(0), offset(0), topic)
      const [a, b] = await Promise.all([open('a'), open('b')])
      for (const member of [a, b]) await member.until(mapOf(['a', 'b']))
      const before = must(a.seen.maps.at(-1), 'a map').map.generation
      const record = { key: Buffer.from('k'), value: Buffer.from('v'), headers: NO_HEADERS }
      let longest = 0
      let read = 0
      for (let n = 0; n < 200; n++) {
        if (n % 5 === 0) b.announce({ zone: `zone-${n}` })
        const start = performance.now()
        await log.append(0, [{ topic: topic.topic, partition: partition(0), records: [record] }])
        while (read <= n) read += (await reader.next()).records.length
        longest = Math.max(longest, performance.now() - start)
        await sleep(5)
      }
      const generations = must(a.seen.maps.at(-1), 'a map').map.generation - before
      say(`${generations} generations; longest write until read again: ${longest.toFixed(0)} ms`)
      expect(read).to.equal(200)
      expect(generations).to.be.above(3)
      expect(longest).to.be.below(TIMED_OUT_MS)
    } finally {
      await log.close()
    }
  })

  it('is an ordinary consumer group for the tools of Kafka', async () => {
    await Promise.all([open('a'), open('b')].map(async (one) => (await one).until(mapOf(['a', 'b']))))
    const admin = new Kafka({ brokers: kafka.bootstrap, logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    const { groups } = await admin.describeGroups([`${cluster}.leaders`])
    await admin.disconnect()
    const [group] = groups
    expect(group?.protocolType).to.equal('consumer')
    expect(group?.protocol).to.equal('tidemark')
    expect(group?.members.map(({ clientId }) => clientId).sort()).to.deep.equal([
      `${cluster}.a`,
      `${cluster}.b`,
    ])
    for (const { memberMetadata, memberAssignment } of group?.members ?? []) {
      expect(AssignerProtocol.MemberMetadata.decode(memberMetadata)?.topics).to.deep.equal([])
      expect(AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment).to.deep.equal({})
    }
  })

  it('leaves when it is closed while it joins', async () => {
    const a = await open('a')
    await a.until(mapOf(['a']))
    for (const wait of [0, 5, 10, 20, 40]) {
      const b = await open('b')
      await sleep(wait)
      await b.close()
    }
    const from = a.seen.maps.length
    const start = Date.now()
    a.announce({ zone: 'after' })
    await a.until(({ maps }) => (maps.at(-1)?.map.nodes[0]?.zone === 'after' ? true : undefined))
    expect(Date.now() - start, 'held up by a member that is gone').to.be.below(TIMED_OUT_MS)
    expect(nodeIds(must(a.seen.maps.at(-1), 'a map').map)).to.deep.equal(['a'])
    expect(from).to.be.above(0)
  })
})
