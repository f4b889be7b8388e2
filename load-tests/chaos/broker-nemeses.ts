/** What befalls the processes of brokers. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PartitionMetadata } from '../../streams/log/kafka/metadata-protocol.ts'
import { mostOften, untilTrue } from './lookout.ts'
import { type Field, type Nemesis, brokerOf, otherBroker, rest } from './nemesis.ts'

/** Milliseconds in which the controller must have given its partitions to others: a broker's session of 4 s, and an election. */
const REPLACED_MS_MAX = 30_000

/** The broker that leads most partitions of the workload. */
async function busiest(field: Field): Promise<number> {
  const view = await field.lookout.brokerView(otherBroker(field, 0), field.topic)
  return mostOften((view ?? []).map(({ leader }) => leader))
}

const viewFrom = async (field: Field, id: number): Promise<readonly PartitionMetadata[]> =>
  (await field.lookout.brokerView(otherBroker(field, id), field.topic)) ?? []

const epochsOf = (view: readonly PartitionMetadata[]): number =>
  view.reduce((sum, { leaderEpoch }) => sum + leaderEpoch, 0)

/** Resolves when the other brokers have others in its place. */
const untilReplaced = (field: Field, id: number): Promise<number | undefined> =>
  untilTrue(async () => {
    const view = await viewFrom(field, id)
    return view.length > 0 && view.every(({ leader }) => leader !== id && leader >= 0)
  }, REPLACED_MS_MAX)

/** Partitions move back only when Kafka rebalances leaders, minutes later. */
const replaced = (id: number, led: number, milliseconds: number | undefined): string | undefined =>
  milliseconds === undefined
    ? undefined
    : `broker ${id} led ${led} partitions; the others had other leaders after ${milliseconds} ms`

async function harm(
  field: Field,
  how: (id: number, bitten: () => Promise<void>) => Promise<void>,
): Promise<string | undefined> {
  const id = await busiest(field)
  const led = (await viewFrom(field, id)).filter(({ leader }) => leader === id).length
  let noticed: number | undefined
  await how(id, async () => {
    noticed = await untilReplaced(field, id)
    await rest(field)
  })
  return replaced(id, led, noticed)
}

const killBroker: Nemesis = {
  name: 'kill-broker',
  about: 'SIGKILL of the broker that leads most partitions; it comes back with its log',
  act: (field) =>
    harm(field, async (id, bitten) => {
      const broker = brokerOf(field, id)
      await broker.stop('SIGKILL')
      await bitten()
      await broker.start()
    }),
}

const pauseBroker: Nemesis = {
  name: 'pause-broker',
  about: 'SIGSTOP of the broker that leads most partitions until it is replaced, then SIGCONT',
  act: (field) =>
    harm(field, async (id, bitten) => {
      const { pid } = brokerOf(field, id)
      if (pid === undefined) throw new Error(`broker ${id} is down`)
      process.kill(pid, 'SIGSTOP')
      try {
        await bitten()
      } finally {
        process.kill(pid, 'SIGCONT')
      }
    }),
}

/** Each takes a few seconds to be up. */
const BOUNCES = 5
const BOUNCE_MS = 6000

const bounceBroker: Nemesis = {
  name: 'bounce-broker',
  about:
    'restart of the broker that leads most partitions, five times where there is the time, clean and by SIGKILL in turn',
  async act(field) {
    const before = epochsOf(await viewFrom(field, 0))
    const bounces = Math.max(1, Math.min(BOUNCES, Math.floor(field.harmMs / BOUNCE_MS)))
    for (let bounce = 0; bounce < bounces; bounce += 1) {
      const broker = brokerOf(field, await busiest(field))
      await broker.stop(bounce % 2 === 0 ? 'SIGTERM' : 'SIGKILL')
      await broker.start()
      await sleep(500)
    }
    const moved = epochsOf(await viewFrom(field, 0)) - before
    return moved === 0 ? undefined : `${bounces} restarts moved leader epochs by ${moved}`
  },
}

export const BROKER_NEMESES: readonly Nemesis[] = [killBroker, pauseBroker, bounceBroker]
export { busiest as busiestBroker, untilReplaced as untilBrokerReplaced }
