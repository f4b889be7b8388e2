/**
 * What a cell runs on: three brokers and three nodes whose every word passes the network of this process.
 *
 *   client ─────────▶ door ─▶ node-1 … 3          advertised addresses of the nodes are doors
 *   node ───────────▶ door ─▶ another node        told from a client by its own address (own-address.ts)
 *   node ───────────▶ door ─▶ NODES of a broker
 *   broker-2 ───────▶ door ─▶ PEER2 of a broker   each broker has a listener for each other: who asks is known by where it asks
 *   its controller ─▶ door ─▶ CONTROL2 of a broker
 *   this process ───────────▶ PLAINTEXT of a broker, HTTP of a node: for looking, and never cut
 */
import { fileURLToPath } from 'node:url'
import { freePorts } from '../../infra/kafka/ports.ts'
import type { BrokerAddress } from '../../infra/kafka/properties.ts'
import type { Settings } from '../../infra/kafka/properties.ts'
import { must } from '../../streams/core/assert.ts'
import { type Cluster, startCluster } from '../cluster/harness.ts'
import { Network } from './network.ts'

export interface Ground {
  readonly cluster: Cluster
  readonly network: Network
  /** Where clients reach each node, through its door. */
  readonly servers: readonly string[]
  close(): Promise<void>
}

export interface GroundOptions {
  readonly partitions: number
  readonly longRun?: boolean
  readonly say?: (sentence: string) => void
}

export const CLIENT = 'client'
export const BROKERS = ['broker-1', 'broker-2', 'broker-3'] as const
export const NODES = ['node-1', 'node-2', 'node-3'] as const

const OWN_ADDRESS = fileURLToPath(new URL('own-address.js', import.meta.url))
/** Of the addresses of nodes: 127.0.0.11 is node-1. */
const FIRST_ADDRESS = 11

const speakerAt = (address: string): string => {
  const last = Number(address.split('.').at(-1))
  return last < FIRST_ADDRESS ? CLIENT : `node-${last - FIRST_ADDRESS + 1}`
}

export async function startGround(options: GroundOptions): Promise<Ground> {
  const network = new Network()
  const brokers = await brokerDoors(network)
  const servers: string[] = []
  try {
    const cluster = await startCluster({
      ...options,
      brokerSettings: (broker) => brokers.settings(broker),
      async settings({ id, index, port }) {
        const door = `127.0.0.1:${await network.door(speakerAt, id, port)}`
        servers[index] = door
        return {
          TIDEMARK_GRPC_ADVERTISE: door,
          TIDEMARK_KAFKA_BROKERS: brokers.forNodes.join(','),
          CHAOS_OWN_ADDRESS: `127.0.0.${FIRST_ADDRESS + index}`,
          NODE_OPTIONS: `--import=${OWN_ADDRESS}`,
        }
      },
    })
    const close = async (): Promise<void> => {
      await cluster.close()
      await network.close()
    }
    return { cluster, network, servers, close }
  } catch (caught) {
    await network.close()
    throw caught
  }
}

interface BrokerDoors {
  /** Where nodes reach the brokers. */
  readonly forNodes: readonly string[]
  settings(broker: BrokerAddress): Settings
}

/** Listeners for each kind of speaker on each broker, and the doors before them. */
async function brokerDoors(network: Network): Promise<BrokerDoors> {
  const ids = BROKERS.map((_, index) => index + 1)
  const free = await freePorts(ids.length * (1 + 2 * ids.length))
  const listeners = new Map<number, Record<string, { readonly port: number; readonly door: number }>>()
  for (const id of ids) {
    const own: Record<string, { port: number; door: number }> = {}
    const open = async (name: string, from: Parameters<Network['door']>[0]): Promise<void> => {
      const port = must(free.pop(), 'a port')
      // A broker speaks to itself too, and no cable is between.
      own[name] = {
        port,
        door: from === `broker-${id}` ? port : await network.door(from, `broker-${id}`, port),
      }
    }
    await open('NODES', speakerAt)
    for (const other of ids) {
      await open(`PEER${other}`, `broker-${other}`)
      await open(`CONTROL${other}`, `broker-${other}`)
    }
    listeners.set(id, own)
  }
  const listenersOf = (id: number): Record<string, { port: number; door: number }> =>
    must(listeners.get(id), 'a broker')

  return {
    forNodes: ids.map((id) => `127.0.0.1:${listenersOf(id)['NODES']?.door ?? 0}`),
    settings({ id, port }) {
      const own = Object.entries(listenersOf(id))
      const direct = `PLAINTEXT://127.0.0.1:${port}`
      const names = ['PLAINTEXT', ...own.map(([name]) => name)]
      return {
        listeners: [direct, ...own.map(([name, at]) => `${name}://127.0.0.1:${at.port}`)].join(','),
        'advertised.listeners': [direct, ...own.map(([name, at]) => `${name}://127.0.0.1:${at.door}`)].join(
          ',',
        ),
        'listener.security.protocol.map': names.map((name) => `${name}:PLAINTEXT`).join(','),
        'inter.broker.listener.name': `PEER${id}`,
        // A controller speaks to the others through the first one.
        'controller.listener.names': [id, ...ids.filter((other) => other !== id)]
          .map((other) => `CONTROL${other}`)
          .join(','),
        'controller.quorum.voters': ids
          .map((other) => `${other}@127.0.0.1:${listenersOf(other)[`CONTROL${id}`]?.door ?? 0}`)
          .join(','),
      }
    },
  }
}
