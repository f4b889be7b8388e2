/**
 * What all nodes of a cluster say of themselves, put side by side: the map tells which node should hold what, each node tells what it
 * holds in fact. Pure: from answers to lines that can be shown or compared.
 *
 * A node without a map (a single one, or one of an older version) counts as a cluster of one.
 */
import type { ClusterDescription, ClusterMap, NodeDescription, ReplicaDescription } from '../client/index.ts'

/** One node of the map with its answer, or why there is none. */
export interface SurveyedNode {
  readonly nodeId: string
  readonly address: string
  readonly zone: string
  readonly draining: boolean
  readonly description: ClusterDescription | undefined
  /** One sentence; undefined where it answered. */
  readonly failure: string | undefined
}

/** Where the map has one partition. */
export interface SurveyedPlacement {
  readonly keyspace: string
  readonly partition: number
  /** Undefined while leadership moves. */
  readonly leader: string | undefined
  readonly replicas: readonly string[]
  readonly warming: readonly string[]
}

export interface Survey {
  readonly cluster: string
  readonly logKind: string
  readonly logIdentity: string
  /** Of the map; undefined where there is none. */
  readonly generation: number | undefined
  readonly nodes: readonly SurveyedNode[]
  readonly placements: readonly SurveyedPlacement[]
}

export interface NodeLine {
  readonly nodeId: string
  readonly address: string
  readonly zone: string
  readonly version: string
  readonly state: 'serving' | 'draining' | 'unreachable'
  /** Partitions that it leads. */
  readonly leaders: number
  /** Replicas that it holds, and how many of them are live. */
  readonly replicas: number
  readonly live: number
  /** It answers, and all its replicas are live. */
  readonly ready: boolean
  readonly failure: string | undefined
}

export interface ReplicaLine {
  readonly nodeId: string
  /** `missing`: the map has it there, the node does not (yet). */
  readonly state: 'live' | 'restoring' | 'stopped' | 'missing' | 'unreachable'
  /** The map has it among those that are built and do not serve yet. */
  readonly warming: boolean
  /** Undefined where the node did not answer or has none. */
  readonly found: ReplicaDescription | undefined
}

export interface PartitionLine {
  readonly keyspace: string
  readonly partition: number
  readonly leader: string | undefined
  readonly replicas: readonly ReplicaLine[]
  /** Of the leader's replica where it answered, else of the one that is furthest. */
  readonly shown: ReplicaDescription | undefined
  /** The newest end of the log that any replica has seen. */
  readonly logEnd: number
  /** How far the replica that is furthest behind is from it, in records. */
  readonly lag: number
}

/** A cluster of one, as its node describes itself. */
export function surveyOfOne(description: ClusterDescription, address: string): Survey {
  const { nodeId, cluster, logKind, logIdentity, replicas } = description
  return {
    cluster,
    logKind,
    logIdentity,
    generation: undefined,
    nodes: [{ nodeId, address, zone: '', draining: false, description, failure: undefined }],
    placements: replicas.map(({ keyspace, partition, leader }) => ({
      keyspace,
      partition,
      leader: leader === '' ? undefined : leader,
      replicas: [nodeId],
      warming: [],
    })),
  }
}

/** What the nodes of the map say, the first of them having been asked for the names of cluster and log. */
export const surveyOf = (
  { cluster, logKind, logIdentity }: ClusterDescription,
  map: ClusterMap,
  nodes: readonly NodeDescription[],
): Survey => ({
  cluster,
  logKind,
  logIdentity,
  generation: map.generation,
  nodes: nodes.map((node) => ({ ...node, failure: node.failure?.message })),
  placements: map.keyspaces.flatMap(({ name, placements }) =>
    placements.map(({ leader, replicas, warming }, partition) => ({
      keyspace: name,
      partition,
      leader: leader === '' ? undefined : leader,
      replicas,
      warming,
    })),
  ),
})

export const nodeLines = ({ nodes, placements }: Survey): NodeLine[] =>
  nodes.map(({ nodeId, address, zone, draining, description, failure }) => {
    const replicas = description?.replicas ?? []
    const live = replicas.filter(({ state }) => state === 'live').length
    return {
      nodeId,
      address,
      zone,
      version: description?.version ?? '',
      state: description === undefined ? 'unreachable' : draining ? 'draining' : 'serving',
      leaders: placements.filter(({ leader }) => leader === nodeId).length,
      replicas: replicas.length,
      live,
      ready: description !== undefined && !draining && live === replicas.length,
      failure,
    }
  })

/** @param keyspace - only this one; undefined = all */
export function partitionLines(survey: Survey, keyspace?: string): PartitionLine[] {
  const held = new Map(
    survey.nodes.map(({ nodeId, description }) => [
      nodeId,
      description === undefined
        ? undefined
        : new Map(description.replicas.map((replica) => [nameOf(replica), replica])),
    ]),
  )
  const replicaLine = (nodeId: string, name: string, warming: boolean): ReplicaLine => {
    const replicas = held.get(nodeId)
    const found = replicas?.get(name)
    const state = found?.state ?? (replicas === undefined ? 'unreachable' : 'missing')
    return { nodeId, state, warming, found }
  }
  return survey.placements
    .filter((placement) => keyspace === undefined || placement.keyspace === keyspace)
    .map((placement) => {
      const name = nameOf(placement)
      const replicas = [
        ...placement.replicas.map((nodeId) => replicaLine(nodeId, name, false)),
        ...placement.warming.map((nodeId) => replicaLine(nodeId, name, true)),
      ].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
      const found = replicas.flatMap((replica) => replica.found ?? [])
      const logEnd = Math.max(0, ...found.map((replica) => replica.logEnd))
      const leading = replicas.find(({ nodeId }) => nodeId === placement.leader)?.found
      const furthest = found.reduce<ReplicaDescription | undefined>(
        (best, replica) => (best === undefined || replica.applied > best.applied ? replica : best),
        undefined,
      )
      return {
        keyspace: placement.keyspace,
        partition: placement.partition,
        leader: placement.leader,
        replicas,
        shown: leading ?? furthest,
        logEnd,
        lag: Math.max(0, ...found.map((replica) => logEnd - replica.applied)),
      }
    })
}

const nameOf = ({ keyspace, partition }: { keyspace: string; partition: number }): string =>
  `${keyspace}/${partition}`
