/**
 * What is done to a cluster while clients use it. A nemesis does its harm, lets it last, undoes it, and proves that it bit: a node that was
 * stopped must have been missed, a way that was cut must have held something back. Without proof the cell is void, not passed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkaBroker } from '../../infra/kafka/broker.ts'
import { must } from '../../streams/core/assert.ts'
import type { LogRecord } from '../../streams/core/types.ts'
import type { Prng } from '../../streams/core/testing/prng.ts'
import type { NodeProcess } from '../cluster/node-process.ts'
import type { Ground } from './ground.ts'
import type { Lookout } from './lookout.ts'

export interface Field {
  readonly ground: Ground
  readonly lookout: Lookout
  /** Of the workload. */
  readonly keyspace: string
  readonly topic: string
  readonly random: Prng
  /** Milliseconds that harm shall last. */
  readonly harmMs: number
  /** For the log of the cell. */
  readonly say: (sentence: string) => void
  /** Writes that clients had acknowledged so far, by partition. */
  readonly acknowledged: () => readonly number[]
  /** Records that the nemesis takes from the log, by partition: the history is checked against them too. */
  readonly archive: LogRecord[][]
  /** The main.js of another build of Tidemark, where there is one. */
  readonly otherBuild: string | undefined
}

export interface Nemesis {
  readonly name: string
  readonly about: string
  /** @returns the proof, one sentence; undefined: it did not bite. @throws NotHere */
  act(field: Field): Promise<string | undefined>
}

/** The machine does not allow it: the cell is skipped, and says why. */
export class NotHere extends Error {
  override readonly name = 'NotHere'
}

export const rest = ({ harmMs }: Field): Promise<void> => sleep(harmMs)

export const nodeOf = (field: Field, id: string): NodeProcess =>
  must(
    field.ground.cluster.nodes.find((node) => node.id === id),
    `the node ${id}`,
  )

export const brokerOf = (field: Field, id: number): KafkaBroker =>
  must(
    field.ground.cluster.brokers.find((broker) => broker.id === id),
    `the broker ${id}`,
  )

/** A node that is not this one, and runs. */
export const otherNode = (field: Field, id: string): NodeProcess =>
  must(
    field.ground.cluster.nodes.find((node) => node.id !== id && node.pid !== undefined),
    'another node',
  )

export const otherBroker = (field: Field, id: number): KafkaBroker =>
  must(
    field.ground.cluster.brokers.find((broker) => broker.id !== id && broker.pid !== undefined),
    'another broker',
  )
