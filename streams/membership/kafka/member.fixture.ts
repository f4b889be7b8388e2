/** Members of one cluster for tests, each with a TCP port in place of its gRPC services, in this process or as one of its own. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { ClusterMap, MapNode, MemberState } from '../../core/cluster-map.ts'
import { must } from '../../core/assert.ts'
import { PROBE_MS } from '../../core/limits.ts'
import { systemClock, systemRandom } from '../../system.ts'
import { openKafkaMembership, type KafkaMembership } from './membership.ts'

export interface MemberPlan {
  readonly brokers: readonly string[]
  readonly cluster: string
  readonly nodeId: string
  /** Whether it probes its peers. */
  readonly detects: boolean
  readonly holdsTopics?: number
}

/** What a member has seen and said, with the time of each, in milliseconds since 1970. */
export interface Seen {
  readonly maps: { readonly at: number; readonly map: ClusterMap }[]
  readonly connected: { readonly at: number; readonly value: boolean }[]
  readonly told: string[]
  /** That it was replaced. */
  failure: string | undefined
}

export interface Observed {
  readonly nodeId: string
  readonly seen: Seen
  /** Resolves with what `look` finds, as soon as it finds something. */
  until<T>(look: (seen: Seen) => T | undefined): Promise<T>
}

export interface Member extends Observed {
  readonly membership: KafkaMembership
  readonly state: MemberState
  announce(change?: Partial<MemberState>): void
  close(): Promise<void>
}

export interface ChildMember extends Observed {
  readonly process: ChildProcess
  readonly pid: number
}

/** Told by a child, one for each thing that it sees. */
export type Message =
  | { readonly map: ClusterMap; readonly at: number }
  | { readonly connected: boolean; readonly at: number }
  | { readonly told: string }
  | { readonly failed: string }

export async function openMember(plan: MemberPlan, state: Partial<MemberState> = {}): Promise<Member> {
  const server = await listen()
  const { observed, see } = observe(plan.nodeId)
  const membership = openKafkaMembership({
    brokers: plan.brokers,
    cluster: plan.cluster,
    clock: systemClock,
    telemetry: {
      trouble: (sentence) => {
        see({ told: `trouble: ${sentence}` })
      },
      recovered: (sentence) => {
        see({ told: `recovered: ${sentence}` })
      },
    },
    alive: plan.detects ? answers : undefined,
    replaced: (error) => {
      see({ failed: error.message })
    },
  })
  membership.map$.subscribe((map) => {
    see({ map, at: Date.now() })
  })
  membership.connected$.subscribe((connected) => {
    see({ connected, at: Date.now() })
  })
  let said: MemberState = {
    nodeId: plan.nodeId,
    incarnation: systemRandom.id(9),
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    zone: '',
    draining: false,
    topics: [],
    held: [],
    handovers: [],
    ...state,
  }
  membership.announce(said)
  return {
    ...observed,
    membership,
    get state() {
      return said
    },
    announce(change = {}) {
      said = { ...said, ...change }
      membership.announce(said)
    },
    async close() {
      server.close()
      await membership.close()
    },
  }
}

/** The same in a process that can be killed and stopped. */
export function forkMember(plan: MemberPlan): ChildMember {
  const child = fork(fileURLToPath(new URL('./member.child.js', import.meta.url)), [JSON.stringify(plan)])
  const { observed, see } = observe(plan.nodeId)
  child.on('message', (message) => {
    see(message as Message)
  })
  return { ...observed, process: child, pid: must(child.pid, 'the process id') }
}

function observe(nodeId: string): { observed: Observed; see: (message: Message) => void } {
  const seen: Seen = { maps: [], connected: [], told: [], failure: undefined }
  const lookers = new Set<() => void>()
  const see = (message: Message): void => {
    if ('map' in message) seen.maps.push(message)
    else if ('connected' in message) seen.connected.push({ at: message.at, value: message.connected })
    else if ('told' in message) seen.told.push(message.told)
    else seen.failure = message.failed
    for (const look of lookers) look()
  }
  const until = <T>(look: (seen: Seen) => T | undefined): Promise<T> =>
    new Promise((resolve) => {
      const again = (): void => {
        const found = look(seen)
        if (found === undefined) return
        lookers.delete(again)
        resolve(found)
      }
      lookers.add(again)
      again()
    })
  return { observed: { nodeId, seen, until }, see }
}

async function listen(): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => undefined).end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

export const answers = ({ address }: Pick<MapNode, 'address'>): Promise<boolean> =>
  new Promise((resolve) => {
    const [host = '', port = ''] = address.split(':')
    const socket = connect({ host, port: Number(port), timeout: PROBE_MS })
    const end = (answered: boolean) => (): void => {
      socket.destroy()
      resolve(answered)
    }
    socket.on('connect', end(true)).on('timeout', end(false)).on('error', end(false))
  })

// ---- questions to what a member has seen ------------------------------------------------------------------------

export const nodeIds = (map: ClusterMap): string[] => map.nodes.map(({ nodeId }) => nodeId)

/** The first map from the given index on whose nodes are these. */
export const mapOf =
  (ids: readonly string[], from = 0) =>
  ({ maps }: Seen): { readonly at: number; readonly map: ClusterMap } | undefined =>
    maps.slice(from).find(({ map }) => nodeIds(map).join() === [...ids].sort().join())

export const nowConnected = ({ connected }: Seen): true | undefined =>
  connected.at(-1)?.value === true ? true : undefined

export const nowLost = ({ connected }: Seen): true | undefined =>
  connected.at(-1)?.value === false && connected.some(({ value }) => value) ? true : undefined
