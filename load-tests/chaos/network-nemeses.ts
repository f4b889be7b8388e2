/** What befalls the network. */
import { setTimeout as sleep } from 'node:timers/promises'
import { busiestBroker, untilBrokerReplaced } from './broker-nemeses.ts'
import { BROKERS, CLIENT, NODES } from './ground.ts'
import { leadersOf, untilTrue } from './lookout.ts'
import type { Party } from './network.ts'
import { type Field, type Nemesis, brokerOf, nodeOf, otherNode, rest } from './nemesis.ts'

/** Some node; over several runs with other seeds, each. */
const someNode = (field: Field): Party => NODES[field.random.below(NODES.length)] ?? NODES[0]
const allBut = (all: readonly Party[], one: Party): Party[] => all.filter((each) => each !== one)

/** Cuts, waits, mends. @returns what was held back */
async function cutBetween(
  field: Field,
  one: readonly Party[],
  other: readonly Party[],
  meanwhile: () => Promise<string>,
): Promise<string | undefined> {
  const { network } = field.ground
  const before = network.harm(one, other)
  network.part(one, other)
  let seen: string
  try {
    seen = await meanwhile()
    await rest(field)
  } finally {
    network.heal()
  }
  const after = network.harm(one, other)
  const held = after.heldChunks - before.heldChunks
  const connections = after.heldConnections - before.heldConnections
  const dials = after.heldDials - before.heldDials
  if (held + dials === 0) return undefined
  return `${one.join(', ')} | ${other.join(', ')}: ${connections} connections held, ${dials} not made${seen}`
}

const nothing = (): Promise<string> => Promise.resolve('')

const nodeFromBrokers: Nemesis = {
  name: 'cut-node-from-kafka',
  about: 'a node cannot reach any broker; its clients and the other nodes still reach it',
  act(field) {
    const id = someNode(field)
    return cutBetween(field, [id], BROKERS, async () => {
      const away = await untilTrue(async () => {
        const map = await field.lookout.map(otherNode(field, id))
        return map !== undefined && map.nodes.every(({ nodeId }) => nodeId !== id)
      }, 20_000)
      const answers = (await field.lookout.describe(nodeOf(field, id))) !== undefined
      const gone = away === undefined ? 'it stayed in the map' : `out of the map after ${away} ms`
      return `; ${gone}, and it ${answers ? 'still answered' : 'did not answer'} clients`
    })
  },
}

const nodeFromLeader: Nemesis = {
  name: 'cut-node-from-broker',
  about: 'a node cannot reach the broker that leads most partitions, and reaches the others',
  async act(field) {
    return cutBetween(field, [someNode(field)], [`broker-${await busiestBroker(field)}`], nothing)
  },
}

const nodeFromNodes: Nemesis = {
  name: 'cut-node-from-nodes',
  about: 'a node and the other nodes cannot reach each other; all reach Kafka, clients reach all',
  act(field) {
    const id = someNode(field)
    return cutBetween(field, [id], allBut(NODES, id), nothing)
  },
}

const clientsFromNode: Nemesis = {
  name: 'cut-clients-from-node',
  about: 'clients cannot reach a node; the nodes and Kafka reach it',
  act: (field) => cutBetween(field, [CLIENT], [someNode(field)], nothing),
}

const oneWay: Nemesis = {
  name: 'cut-one-way',
  about:
    'what a node says reaches Kafka, and no answer comes back: each of its appends is carried out and looks lost',
  async act(field) {
    const id = someNode(field)
    const { network } = field.ground
    const before = network.harm([id], BROKERS).heldChunks
    network.cut(BROKERS, [id])
    try {
      await rest(field)
    } finally {
      network.heal()
    }
    const held = network.harm([id], BROKERS).heldChunks - before
    return held === 0 ? undefined : `${held} answers of brokers to ${id} were held back`
  },
}

/** Milliseconds, each way: two sites of one continent. */
const DELAY_MS = 20

const slowBrokers: Nemesis = {
  name: 'slow-kafka',
  about: `everything between nodes and brokers takes ${DELAY_MS} ms longer, each way`,
  async act(field) {
    const { lookout, ground } = field
    const write = async (): Promise<number> => {
      const began = performance.now()
      await lookout.probe(otherNode(field, ''), field.keyspace)
      return performance.now() - began
    }
    const before = await write()
    ground.network.slow(NODES, BROKERS, DELAY_MS)
    await sleep(DELAY_MS)
    const during = await write()
    await rest(field)
    ground.network.heal()
    if (during < 2 * DELAY_MS) return undefined
    return `a linearizable read took ${Math.round(during)} ms instead of ${Math.round(before)} ms`
  },
}

const staleBroker: Nemesis = {
  name: 'stale-broker',
  about:
    'a broker (and its controller) is cut off from its peers and replaced as leader, and goes on answering our nodes as if it led',
  async act(field) {
    const id = await busiestBroker(field)
    const party = `broker-${id}`
    return cutBetween(field, [party], allBut(BROKERS, party), async () => {
      const replaced = await untilBrokerReplaced(field, id)
      const own = leadersOf(await field.lookout.brokerView(brokerOf(field, id), field.topic))
      const still = own.filter((leader) => leader === id).length
      if (replaced === undefined || still === 0)
        throw new Error(`broker ${id} was not replaced: it sees ${own.join(', ')}`)
      return `; replaced after ${replaced} ms, it still called itself leader of ${still} partitions`
    })
  },
}

export const NETWORK_NEMESES: readonly Nemesis[] = [
  nodeFromBrokers,
  nodeFromLeader,
  oneWay,
  nodeFromNodes,
  clientsFromNode,
  slowBrokers,
  staleBroker,
]
