/** Where a partition begins and ends, as its leader says, without proof (read-index.ts has the proof). */
import { TidemarkError } from '../../core/errors.ts'
import { KAFKA_LEADER_TRIES_MAX, KAFKA_REQUEST_MS, KAFKA_RETRY_MS } from '../../core/limits.ts'
import { offset, type Offset, type Partition } from '../../core/types.ts'
import { failpoint } from '../../failpoint.ts'
import type { Offsets } from '../log.ts'
import { createChannels } from './channels.ts'
import { describeCode, type Transport } from './client.ts'
import type { ClusterView } from './cluster-view.ts'
import { EARLIEST, LATEST, listOffsetsCall } from './protocol.ts'

export interface OffsetsOf {
  /** Follows a change of the leader for a moment. @throws LOG_UNAVAILABLE */
  of(topic: string, partition: Partition): Promise<Offsets>
  close(): void
}

export function createOffsets(transport: Transport, view: ClusterView): OffsetsOf {
  const channels = createChannels(transport)

  const once = async (topic: string, partition: Partition): Promise<Offsets> => {
    await view.refresh([topic])
    const leader = view.leader(topic, partition)
    const channel = channels.of(leader && view.brokers.get(leader.leader))
    if (leader === undefined || channel === undefined) throw unknown(topic, partition, 'it has no leader')
    const query = [{ topic, partition, leaderEpoch: leader.leaderEpoch }]
    const ask = async (which: typeof EARLIEST | typeof LATEST): Promise<Offset> => {
      const [answer] = await failpoint('kafka.offsets', () =>
        channel.call(listOffsetsCall(query, which), KAFKA_REQUEST_MS),
      )
      if (answer?.errorCode === 0) return offset(answer.offset)
      throw unknown(topic, partition, describeCode(answer?.errorCode ?? -1))
    }
    const [start, end] = await Promise.all([ask(EARLIEST), ask(LATEST)])
    return { start, end }
  }

  return {
    async of(topic, partition) {
      for (let tries = 1; ; tries++) {
        try {
          return await once(topic, partition)
        } catch (caught) {
          if (tries >= KAFKA_LEADER_TRIES_MAX || !(caught instanceof TidemarkError)) throw caught
          await new Promise((resolve) => setTimeout(resolve, KAFKA_RETRY_MS * tries))
        }
      }
    },
    close() {
      channels.close()
    },
  }
}

const unknown = (topic: string, partition: Partition, why: string): TidemarkError =>
  new TidemarkError(
    'LOG_UNAVAILABLE',
    `The offsets of partition ${partition} of topic ${topic} are not known: ${why}.`,
  )
