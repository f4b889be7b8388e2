/**
 * The Membership port on a consumer group of Kafka, `<cluster>.leaders`. No partition is assigned to anybody: what the group's leader
 * gives is the map, the same to all. Replicas know nothing of it and go on through every rebalance (I7).
 *
 *   announce ─▶ words ─▶ join ═▶ group's leader: plan() ═▶ gift to all ─▶ map$
 *
 * connected$ is true while the newest map holds this process and the coordinator has known it within MEMBER_SILENT_MS, counted from when
 * the question was sent: no answer that waited in a socket, or in a process that stood still, makes it longer.
 */
import { BehaviorSubject, ReplaySubject } from 'rxjs'
import { must } from '../../core/assert.ts'
import type { ClusterMap, MapNode, MemberState } from '../../core/cluster-map.ts'
import { TidemarkError } from '../../core/errors.ts'
import {
  KAFKA_REQUEST_MS,
  MEMBER_GATHER_MS,
  MEMBER_HEARTBEAT_MS,
  MEMBER_MISSING_MS,
  MEMBER_SILENT_MS,
} from '../../core/limits.ts'
import { changesMap } from '../../core/map-changes.ts'
import { failpoint } from '../../failpoint.ts'
import { parseAddress } from '../../log/kafka/address.ts'
import { createTransport, type ConnectionSettings } from '../../log/kafka/client.ts'
import { createClusterView, type ClusterView } from '../../log/kafka/cluster-view.ts'
import { createTrouble } from '../../log/kafka/trouble.ts'
import type { Clock, Telemetry } from '../../ports.ts'
import { createDetector, type Detector } from '../detector.ts'
import type { Membership } from '../membership.ts'
import { assign } from './assigner.ts'
import { createCoordinator, type Coordinator } from './coordinator.ts'
import { startGroupMember, type GroupMember, type Part } from './group-member.ts'
import { leaveGroupCall } from './group-protocol.ts'
import { decodeGift, encodeWords, type Seated } from './words.ts'

export interface KafkaMembershipOptions extends Omit<ConnectionSettings, 'clientId'> {
  /** `host:port` of some brokers; the others are found through them. */
  readonly brokers: readonly string[]
  readonly cluster: string
  readonly clock: Clock
  /** Told once when the group cannot be reached, or a peer is put out, and once when that is over. */
  readonly telemetry: Pick<Telemetry, 'trouble' | 'recovered'>
  /** Whether a peer answers; without it the dead are found when their session ends. */
  readonly alive?: ((node: MapNode) => Promise<boolean>) | undefined
  /** Called with NODE_REPLACED when another process with this node id came later: this one has left the group then, for good. */
  readonly replaced: (error: TidemarkError) => void
}

export interface KafkaMembership extends Membership {
  /** Puts out a node that is dead, as far as this node is connected itself. If it lives it joins again at once. */
  evict(nodeId: string, incarnation: string): Promise<void>
}

/** What there is from the first announcement on. */
interface Running {
  readonly view: ClusterView
  readonly coordinator: Coordinator
  readonly member: GroupMember
  readonly detector: Detector | undefined
}

/** @throws CONFIG_INVALID for brokers that are not written as host:port */
export function openKafkaMembership(options: KafkaMembershipOptions): KafkaMembership {
  const { clock, cluster } = options
  const groupId = `${cluster}.leaders`
  const GROUP = `the group ${groupId}`
  const WAY = `the way to the group ${groupId}`
  const seeds = options.brokers.map(parseAddress)
  const trouble = createTrouble(options.telemetry)
  const map$ = new ReplaySubject<ClusterMap>(1)
  const connected$ = new BehaviorSubject(false)

  let latest: MemberState | undefined
  /** Something was announced that the group does not know, and that can alter the map. */
  let news = false
  let since = 0
  let nonce = 0
  let seated: readonly Seated[] = []
  let inMap = false
  let knownAt = -Infinity
  let gathering = false
  /** To ask for a map with this member in it. */
  let waiting = false
  let running: Running | undefined
  let closing: Promise<void> | undefined

  const judge = (): void => {
    const connected = inMap && closing === undefined && clock.elapsed() - knownAt <= MEMBER_SILENT_MS
    if (connected !== connected$.value) connected$.next(connected)
  }

  /** Asks for a new map; changes that come together ask once. */
  const gather = (): void => {
    if (gathering || !news) return
    gathering = true
    void clock.sleep(MEMBER_GATHER_MS).then(() => {
      gathering = false
      if (news && closing === undefined) ask()
    })
  }

  const ask = (): void => {
    nonce += 1
    running?.member.rejoin()
  }

  const joined = (bytes: Uint8Array): void => {
    if (closing !== undefined || latest === undefined) return
    const gift = decodeGift(bytes)
    const mine = gift?.seated.find(({ nodeId }) => nodeId === latest?.nodeId)
    if (gift !== undefined) {
      seated = gift.seated
      for (const { nodeId } of seated) trouble.end(nodeName(nodeId))
      running?.detector?.watch(gift.map.nodes)
    }
    if (mine !== undefined && mine.incarnation !== latest.incarnation) {
      replaced(mine.nodeId, mine.incarnation)
      return
    }
    inMap = mine !== undefined
    if (mine === undefined) missing(gift === undefined)
    else {
      since = mine.since
      trouble.end(GROUP)
    }
    if (gift !== undefined) map$.next(gift.map)
    judge()
    gather()
  }

  /** The group's leader could not read this member, or this member the leader: it asks on, as others may come to lead. */
  const missing = (unreadable: boolean): void => {
    const why = unreadable ? 'its leader speaks another format' : 'its leader left this node out of the map'
    trouble.begin(
      GROUP,
      `This node is in the group ${groupId}, but ${why}: the nodes run different versions.`,
    )
    if (waiting) return
    waiting = true
    void clock.sleep(MEMBER_MISSING_MS).then(() => {
      waiting = false
      if (!inMap && closing === undefined) ask()
    })
  }

  const replaced = (nodeId: string, incarnation: string): void => {
    inMap = false
    judge()
    options.replaced(
      new TidemarkError(
        'NODE_REPLACED',
        `Another process runs as node ${nodeId} of cluster ${cluster} and came later (its incarnation is ${incarnation}). ` +
          'This one has left the cluster. Give each node its own TIDEMARK_NODE_ID and data directory.',
        { metadata: { node: nodeId } },
      ),
    )
    void close()
  }

  const part: Part = {
    words() {
      const state = must(latest, 'what is announced')
      news = false
      return encodeWords({ since, nonce, state })
    },
    assign,
    joined,
    known(at) {
      knownAt = Math.max(knownAt, at)
      judge()
    },
    expelled() {
      inMap = false
      judge()
      trouble.begin(GROUP, `The group ${groupId} took this node for dead; it joins again.`)
    },
    failing(cause, why) {
      if (cause === 'refusal') trouble.end(WAY)
      const sentence = `This node cannot be in the group ${groupId}; it tries on, and leads nothing meanwhile. ${why}`
      trouble.begin(cause === 'refusal' ? GROUP : WAY, sentence)
    },
    working() {
      trouble.end(WAY)
      if (inMap) trouble.end(GROUP)
    },
  }

  const evict = async (nodeId: string, incarnation: string): Promise<void> => {
    const seat = seated.find((one) => one.nodeId === nodeId && one.incarnation === incarnation)
    // One who may be cut off himself does not judge.
    if (seat === undefined || running === undefined || !connected$.value) return
    trouble.begin(
      nodeName(nodeId),
      `Node ${nodeId} does not answer: it is put out of the cluster until it joins again.`,
    )
    // Where this fails, the peer is still in the map, and the next probe that fails asks again.
    const { coordinator } = running
    await failpoint('group.evict', () => coordinator.aside(leaveGroupCall(groupId, [seat.memberId]))).catch(
      () => undefined,
    )
  }

  const start = (nodeId: string): Running => {
    // By its client id the node finds in the group what is left of its earlier processes.
    const clientId = `${cluster}.${nodeId}`
    const transport = createTransport({ ...options, clientId }, KAFKA_REQUEST_MS)
    const view = createClusterView(transport, seeds)
    const coordinator = createCoordinator(transport, view, clock, groupId)
    const { alive } = options
    const put = (node: MapNode): void => void evict(node.nodeId, node.incarnation)
    const detector = alive && createDetector({ nodeId, clock, alive, evict: put })
    const member = startGroupMember(coordinator, clock, groupId, clientId, part)
    return { view, coordinator, member, detector }
  }

  const stopJudging = clock.every(MEMBER_HEARTBEAT_MS, judge)

  const shut = async (): Promise<void> => {
    inMap = false
    judge()
    stopJudging()
    running?.detector?.close()
    await running?.member.leave()
    running?.view.close()
    map$.complete()
    connected$.complete()
  }

  const close = (): Promise<void> => {
    closing ??= shut()
    return closing
  }

  return {
    map$,
    connected$,
    announce(state) {
      if (closing !== undefined) return
      const before = latest
      latest = state
      if (before !== undefined && changesMap(before, state)) news = true
      if (running === undefined) running = start(state.nodeId)
      // Nobody leads what it gave up.
      else if (state.draining && before?.draining === false) ask()
      else gather()
    },
    evict,
    close,
  }
}

const nodeName = (nodeId: string): string => `node ${nodeId}`
