/**
 * A cluster of model nodes over a simulated membership: they obey maps as real nodes do, without data. Builds take as long as the driver
 * likes; nodes crash, come back with their disk, are cut off, drain, hand over; topics come, go and come again. After each thing that
 * happens the model checks what must always hold:
 *
 * - at most one node acts as leader of a partition;
 * - a map lists only live replicas, all of them while others are being built, and whoever leads;
 * - a node that drops a live replica as a map says does not drop the last one.
 */
import { assert, must } from '../assert.ts'
import { simulatedCluster, type SimulatedCluster } from '../../membership/simulated.ts'
import type { Membership } from '../../membership/membership.ts'
import type { ClusterMap, HeldReplica, MapPlacement, TopicNeeds } from '../cluster-map.ts'
import { isBehind } from '../map-changes.ts'
import type { Offset, Partition } from '../types.ts'
import { memberOf } from './members.ts'
import type { Prng } from './prng.ts'

interface Replica {
  readonly topic: string
  readonly identity: string
  readonly partition: Partition
  applied: number
  live: boolean
  /** The map that came last names this node as leader, and nothing has come in between. */
  offered: boolean
  leading: boolean
  behind: boolean
  handedBy: string | undefined
}

/** What the log has: the truth about topics. */
export interface Topic extends TopicNeeds {
  readonly ends: number[]
}

const placeOf = (topic: string, partition: number): string => `${topic}/${partition}`

export class ModelNode {
  readonly nodeId: string
  readonly incarnation: string
  readonly zone: string
  draining = false
  alive = true
  connected = false
  readonly topics = new Map<string, Topic>()
  readonly replicas: Map<string, Replica>
  readonly handovers = new Map<string, string>()
  readonly #cluster: ClusterModel
  readonly #membership: Membership

  constructor(
    cluster: ClusterModel,
    nodeId: string,
    incarnation: string,
    zone: string,
    disk: Map<string, Replica>,
  ) {
    this.#cluster = cluster
    this.nodeId = nodeId
    this.incarnation = incarnation
    this.zone = zone
    this.replicas = disk
    for (const replica of disk.values())
      Object.assign(replica, { live: false, offered: false, leading: false, behind: false })
    this.#membership = cluster.group.member()
    this.lookAtLog()
    this.#membership.map$.subscribe((map) => {
      this.#obey(map)
    })
    this.#membership.connected$.subscribe((connected) => {
      this.connected = connected
      this.#lead()
    })
    this.announce()
  }

  announce(): void {
    if (!this.alive) return
    const held = [...this.replicas.values()].map(
      ({ topic, partition, applied, live, leading, behind, handedBy }): HeldReplica => ({
        topic,
        partition,
        applied: applied as Offset,
        live,
        leading,
        ...(behind ? { behind } : {}),
        ...(handedBy === undefined ? {} : { handedBy }),
      }),
    )
    const { nodeId, incarnation, zone, draining } = this
    const topics = [...this.topics.values()].map(({ ends: _, ...needs }) => needs)
    const handovers = [...this.handovers].map(([place, to]) => {
      const { topic, partition } = must(this.replicas.get(place), 'a replica that is handed over')
      return { topic, partition, to }
    })
    this.#membership.announce(memberOf(nodeId, { incarnation, zone, draining, topics, held, handovers }))
  }

  /** Learns which topics there are; what is not theirs any more stops and is thrown away. */
  lookAtLog(): void {
    this.topics.clear()
    for (const topic of this.#cluster.topics.values()) this.topics.set(topic.topic, topic)
    for (const [place, { topic, identity }] of this.replicas)
      if (this.topics.get(topic)?.identity !== identity) {
        this.replicas.delete(place)
        this.handovers.delete(place)
      }
  }

  #obey(map: ClusterMap): void {
    if (!this.alive) return
    for (const replica of this.replicas.values()) replica.offered = false
    for (const { topic, identity, placements } of map.topics) {
      const known = this.topics.get(topic) ?? this.#cluster.topics.get(topic)
      // Another identity than the log has: the members do not agree yet.
      if (known?.identity !== identity) continue
      this.topics.set(topic, known)
      placements.forEach((placement, partition) => this.#place(map, known, partition as Partition, placement))
    }
    this.#lead()
  }

  #place(map: ClusterMap, { topic, identity }: Topic, partition: Partition, placement: MapPlacement): void {
    const { leader, replicas, warming, handedBy } = placement
    const place = placeOf(topic, partition)
    const mine = replicas.includes(this.nodeId) || warming.includes(this.nodeId)
    let replica = this.replicas.get(place)
    if (replica === undefined && mine) {
      const fresh = {
        applied: 0,
        live: false,
        offered: false,
        leading: false,
        behind: false,
        handedBy: undefined,
      }
      replica = { topic, identity, partition, ...fresh }
      this.replicas.set(place, replica)
    }
    if (replica === undefined) return
    replica.offered = leader === this.nodeId && replica.live
    replica.handedBy = replica.offered ? handedBy : undefined
    if (leader !== undefined && leader !== this.nodeId) this.handovers.delete(place)
    // A node that drains may come back: it keeps what it has.
    if (!mine && !this.draining && replicas.length > 0 && (warming.length === 0 || !replica.live)) {
      this.replicas.delete(place)
      this.handovers.delete(place)
      if (replica.live) this.#cluster.dropped(this, replica, map)
    }
  }

  /** Takes what is offered, gives up the rest, and says so at once. Who gives up takes again only what a newer map offers. */
  #lead(): void {
    for (const replica of this.replicas.values()) {
      if (replica.leading && !this.connected) replica.offered = false
      replica.leading = replica.offered && this.connected
    }
    this.announce()
  }

  /** What was being built is live; or what was live stops. */
  turn(replica: Replica, live: boolean): void {
    if (live) replica.applied = this.#cluster.endOf(replica)
    Object.assign(replica, {
      live,
      offered: replica.offered && live,
      leading: replica.leading && live,
      behind: false,
    })
    this.announce()
  }

  handOver({ topic, partition }: Replica, to: string): void {
    this.handovers.set(placeOf(topic, partition), to)
    this.announce()
  }

  drain(): void {
    this.draining = true
    this.announce()
  }

  apply(replica: Replica, records: number): void {
    const end = this.#cluster.endOf(replica)
    replica.applied = Math.min(end, replica.applied + records)
    if (replica.live) replica.behind = isBehind(replica.applied as Offset, end as Offset, replica.behind)
  }

  leave(): void {
    this.alive = false
    void this.#membership.close()
  }
}

export class ClusterModel {
  readonly topics = new Map<string, Topic>()
  readonly nodes: ModelNode[] = []
  readonly group: SimulatedCluster
  /** Generation of the newest map when a replica was last lost by something else than a map. */
  #harmed = 0
  #checked = 0
  #fault: string | undefined

  constructor(prng: Prng) {
    this.group = simulatedCluster(prng)
  }

  endOf({ topic, identity, partition }: Replica): number {
    const found = this.topics.get(topic)
    return found?.identity === identity ? (found.ends[partition] ?? 0) : 0
  }

  get alive(): ModelNode[] {
    return this.nodes.filter(({ alive }) => alive)
  }

  start(nodeId: string, incarnation: string, zone: string, disk = new Map<string, Replica>()): void {
    this.nodes.push(new ModelNode(this, nodeId, incarnation, zone, disk))
  }

  crash(node: ModelNode): void {
    node.alive = false
    this.group.cut(node.nodeId)
    this.harm()
  }

  leave(node: ModelNode): void {
    node.leave()
    this.harm()
  }

  harm(): void {
    this.#harmed = this.group.map.generation
  }

  dropped(by: ModelNode, { topic, identity, partition }: Replica, map: ClusterMap): void {
    if (map.generation <= this.#harmed) return
    // Of a process that has died the group does not know at once.
    const alive = new Set(this.alive.map(({ incarnation }) => incarnation))
    const listed = map.topics.find((one) => one.topic === topic)?.placements[partition]?.replicas ?? []
    if (map.nodes.some((node) => listed.includes(node.nodeId) && !alive.has(node.incarnation))) return
    const others = this.alive.filter((node) => {
      const replica = node.replicas.get(placeOf(topic, partition))
      return replica?.live === true && replica.identity === identity
    })
    // Thrown in a subscriber it would be lost.
    if (others.length === 0)
      this.#fault = `${by.nodeId} drops the last live replica of ${topic}/${partition}: map ${map.generation}`
  }

  /** One thing of the group's; false when nothing is due. */
  step(): boolean {
    const went = this.group.step()
    this.check()
    return went
  }

  check(): void {
    assert(this.#fault === undefined, this.#fault ?? '')
    const leaders = new Map<string, string>()
    for (const node of this.alive)
      for (const [place, { leading, identity }] of node.replicas) {
        if (!leading) continue
        const key = `${place}/${identity}`
        const other = leaders.get(key)
        assert(other === undefined, `${other ?? ''} and ${node.nodeId} lead ${key}`)
        leaders.set(key, node.nodeId)
      }
    if (this.group.map.generation > this.#checked) this.#checkMap(this.group.map)
    this.#checked = this.group.map.generation
  }

  /** Called when it has just been made, so that the group knows of its members what the map was made from. */
  #checkMap({ topics }: ClusterMap): void {
    for (const { topic, identity, placements } of topics)
      placements.forEach(({ leader, replicas, warming }, partition) => {
        const held = this.group.members.flatMap(({ nodeId, held: all, topics: known }) =>
          known.some((one) => one.topic === topic && one.identity === identity)
            ? all
                .filter((one) => one.topic === topic && one.partition === partition && one.live)
                .map(({ leading }) => ({ nodeId, leading }))
            : [],
        )
        const live = held.map(({ nodeId }) => nodeId)
        const where = `${topic}/${partition}`
        const listed = replicas.filter((nodeId) => live.includes(nodeId))
        assert(live.length === 0 || replicas.length > 0, `no live replica of ${where} is listed`)
        assert(
          warming.length === 0 || listed.length === live.length,
          `a live replica of ${where} is not listed though others are being built`,
        )
        assert(
          held.every(({ nodeId, leading }) => !leading || listed.includes(nodeId)),
          `who leads ${where} is not listed`,
        )
        assert(listed.length === replicas.length, `a replica of ${where} is listed and not live`)
        assert(
          leader === undefined || listed.includes(leader),
          `${leader ?? ''} leads ${where} without a live replica`,
        )
        assert(!warming.some((nodeId) => replicas.includes(nodeId)), `${where} is warming where it is`)
        assert(
          new Set([...replicas, ...warming]).size === replicas.length + warming.length,
          `${where} twice on a node`,
        )
      })
  }
}
