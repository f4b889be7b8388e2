/** Random lives of model clusters (testing/cluster-model.ts): what must always hold is checked on the way, the rest at the end. */
import { expect } from 'chai'
import type { MapTopic } from './cluster-map.ts'
import { targetsOf } from './placement.ts'
import { plan } from './plan.ts'
import { ClusterModel, type ModelNode } from './testing/cluster-model.ts'
import { topicOf } from './testing/members.ts'
import { Prng } from './testing/prng.ts'

const SEEDS = 150
const EVENTS = 250
const sorted = (ids: readonly string[]): string[] => [...ids].sort()

class Life {
  readonly prng: Prng
  readonly model: ClusterModel
  readonly #crashed: ModelNode[] = []
  readonly #zones: number
  #started = 0
  #identities = 0

  constructor(seed: number) {
    this.prng = new Prng(seed)
    this.model = new ClusterModel(this.prng)
    this.#zones = this.prng.below(4)
    this.createTopic('t.default')
    for (let node = 0; node < 3; node++) this.startNode()
  }

  one<T>(list: readonly T[]): T | undefined {
    return list[this.prng.below(Math.max(1, list.length))]
  }

  startNode(): void {
    this.#started += 1
    const zone = this.#zones === 0 ? '' : `z${this.#started % this.#zones}`
    this.model.start(`n${this.#started}`, `n${this.#started}.1`, zone)
  }

  createTopic(name: string): void {
    this.#identities += 1
    const partitions = 1 + this.prng.below(6)
    const needs = topicOf(name, partitions, 1 + this.prng.below(3), `i${this.#identities}`)
    this.model.topics.set(name, { ...needs, ends: Array.from({ length: partitions }, () => 0) })
  }

  build(): boolean {
    const building = this.model.alive.flatMap((node) =>
      [...node.replicas.values()].filter(({ live }) => !live).map((replica) => ({ node, replica })),
    )
    const found = this.one(building)
    found?.node.turn(found.replica, true)
    return found !== undefined
  }

  /** Topics grow, replicas follow as they can. */
  flow(): void {
    for (const { ends } of this.model.topics.values())
      ends.forEach((end, at) => (ends[at] = end + this.prng.below(60_000)))
    for (const node of this.model.alive) {
      for (const replica of node.replicas.values()) node.apply(replica, this.prng.below(100_000))
      node.announce()
    }
  }

  event(): void {
    const { prng, model } = this
    const { alive, group } = model
    const node = this.one(alive)
    const steady = alive.filter(({ draining }) => !draining)
    if (node === undefined) {
      this.startNode()
      return
    }
    const kinds: (() => void)[] = [
      () => {
        if (alive.length < 6) this.startNode()
      },
      () => {
        if (alive.length < 2) return
        model.crash(node)
        this.#crashed.push(node)
      },
      () => {
        const crashed = this.#crashed.pop()
        if (crashed === undefined) return
        if (prng.chance(50)) {
          group.evict(crashed.nodeId)
          return
        }
        const [id, start = '1'] = crashed.incarnation.split('.')
        model.start(crashed.nodeId, `${id ?? ''}.${Number(start) + 1}`, crashed.zone, crashed.replicas)
      },
      () => {
        if (node.draining || steady.length > 1) node.drain()
      },
      () => {
        if (alive.length > 1 && (node.draining || prng.chance(20))) model.leave(node)
      },
      () => {
        group.cut(node.nodeId)
        if (prng.chance(50)) group.evict(node.nodeId)
      },
      () => {
        group.heal(node.nodeId)
      },
      () => {
        group.evict(node.nodeId)
      },
      () => {
        if (prng.chance(50)) group.hold(node.nodeId)
        else group.release(node.nodeId)
      },
      () => {
        const led = this.one([...node.replicas.values()].filter(({ leading }) => leading))
        const to = this.one(alive)
        if (led !== undefined && to !== undefined) node.handOver(led, to.nodeId)
      },
      () => {
        const live = this.one([...node.replicas.values()].filter((replica) => replica.live))
        if (live === undefined) return
        node.turn(live, false)
        model.harm()
      },
      () => {
        const name = `t.${prng.below(3)}`
        if (prng.chance(30)) model.topics.delete(name)
        else this.createTopic(name)
      },
      () => {
        node.lookAtLog()
        node.announce()
        model.harm()
      },
    ]
    this.one(kinds)?.()
  }

  run(events: number): void {
    for (let at = 0; at < events; at++) {
      const dice = this.prng.below(100)
      if (dice < 60) this.model.step()
      else if (dice < 80) this.build()
      else if (dice < 85) this.flow()
      else this.event()
      this.model.check()
    }
  }

  /** Ends what disturbs, lets all be built. @returns the number of maps, and of replicas built, until nothing is left to do */
  rest(): { maps: number; builds: number } {
    const { model } = this
    for (const { nodeId, alive } of model.nodes) if (!alive) model.group.evict(nodeId)
    if (model.alive.every(({ draining }) => draining)) this.startNode()
    for (const node of model.alive) {
      model.group.heal(node.nodeId)
      model.group.release(node.nodeId)
      node.lookAtLog()
      for (const replica of node.replicas.values()) node.apply(replica, Infinity)
      node.announce()
    }
    const first = model.group.map.generation
    let builds = 0
    for (;;) {
      for (let steps = this.prng.below(20); steps > 0; steps--) model.step()
      if (this.build()) builds += 1
      else if (!model.step()) break
    }
    return { maps: model.group.map.generation - first, builds }
  }
}

/** No node could pass on a leadership, directly or in a chain, to one that leads two fewer. What was handed over counts for its giver. */
function expectEven(
  topics: readonly MapTopic[],
  incarnations: ReadonlyMap<string, string>,
  nodes: readonly string[],
): void {
  const loads = new Map(nodes.map((nodeId) => [nodeId, 0]))
  const passes = new Map(nodes.map((nodeId) => [nodeId, new Set<string>()]))
  for (const { placements } of topics)
    for (const { leader, replicas, handedBy } of placements) {
      const counts = (handedBy === undefined ? undefined : incarnations.get(handedBy)) ?? leader ?? ''
      loads.set(counts, (loads.get(counts) ?? 0) + 1)
      if (handedBy === undefined && leader !== undefined)
        for (const nodeId of replicas) passes.get(leader)?.add(nodeId)
    }
  for (const from of nodes) {
    const reached = new Set([from])
    for (const nodeId of reached) passes.get(nodeId)?.forEach((to) => reached.add(to))
    for (const to of reached)
      expect((loads.get(from) ?? 0) - (loads.get(to) ?? 0), `${from} to ${to}`).to.be.at.most(1)
  }
}

function expectRested({ model }: Life): void {
  const { map, members } = model.group
  const byId = new Map(model.alive.map((node) => [node.nodeId, node]))
  expect(map.nodes.map(({ nodeId }) => nodeId)).to.deep.equal(sorted([...byId.keys()]))
  expect(map.topics.map(({ topic, identity }) => `${topic} ${identity}`)).to.deep.equal(
    sorted([...model.topics.values()].map(({ topic, identity }) => `${topic} ${identity}`)),
  )
  const places = model.alive.filter(({ draining }) => !draining)
  for (const { topic, replication, placements } of map.topics)
    placements.forEach(({ leader, replicas, warming }, partition) => {
      const where = `${topic}/${partition}`
      expect(replicas, where).to.deep.equal(sorted(targetsOf(topic, partition, places, replication)))
      expect(warming, where).to.deep.equal([])
      expect(leader, where).to.be.oneOf([...replicas])
      for (const node of model.alive) {
        const replica = node.replicas.get(where)
        if (!node.draining) expect(replica?.live === true, where).to.equal(replicas.includes(node.nodeId))
        expect(replica?.leading === true, where).to.equal(node.nodeId === leader)
      }
    })
  const incarnations = new Map(map.nodes.map(({ incarnation, nodeId }) => [incarnation, nodeId]))
  expectEven(
    map.topics,
    incarnations,
    places.map(({ nodeId }) => nodeId),
  )
  expect(plan(members, map.generation), 'the same map again').to.deep.equal(map)
}

describe('the plan, over the life of a cluster', () => {
  it(`is safe on the way and comes to rest, ${SEEDS} seeds`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const life = new Life(seed)
      try {
        life.run(EVENTS)
        const { maps, builds } = life.rest()
        expect(maps, 'maps until it rests').to.be.at.most(4 * builds + 12)
        expectRested(life)
      } catch (caught) {
        throw new Error(`seed ${seed}: ${String(caught)}`, { cause: caught })
      }
    }
  }).timeout(60_000)
})
