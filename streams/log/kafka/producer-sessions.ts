/**
 * Idempotent producers of one lane: an id that a broker gave, and the next sequence of each partition under it. A partition
 * has one batch on its way at a time. Once it is not known whether a sequence was used, the session takes no new batches: its
 * sequences must never stand for other records. What is on its way under it goes on being sent as it is.
 */
import { TidemarkError } from '../../core/errors.ts'
import { APPEND_ACK_MS, APPEND_RECORDS_MAX } from '../../core/limits.ts'
import { failpoint } from '../../failpoint.ts'
import type { Channels } from './channels.ts'
import { describeCode } from './client.ts'
import type { ClusterView } from './cluster-view.ts'
import { initProducerCall } from './protocol.ts'
import type { Producer } from './record-batch.ts'

export interface ProducerSession {
  readonly producer: Producer
  sequenceOf(partition: string): number
  /** The records were appended. */
  appended(partition: string, records: number): void
  /** From now on only for what is on its way already. */
  retire(): void
}

export interface ProducerSessions {
  /** The session for new batches. @throws LOG_UNAVAILABLE when no broker gives an id. */
  current(): Promise<ProducerSession>
}

const SEQUENCE_MAX = 2 ** 31 - 1

export function createProducerSessions(channels: Channels, view: ClusterView): ProducerSessions {
  let opening: Promise<ProducerSession> | undefined

  const open = async (): Promise<ProducerSession> => {
    let failure: unknown
    for (const broker of view.brokers.values()) {
      try {
        const answer = await failpoint('kafka.producer-id', () =>
          channels.of(broker)?.call(initProducerCall(), APPEND_ACK_MS),
        )
        if (answer?.errorCode === 0) return session({ id: answer.id, epoch: answer.epoch })
        failure ??= new TidemarkError(
          'LOG_UNAVAILABLE',
          `No producer id: ${describeCode(answer?.errorCode ?? -1)}.`,
        )
      } catch (caught) {
        if (!(caught instanceof TidemarkError)) throw caught
        failure ??= caught
      }
    }
    throw failure ?? new TidemarkError('LOG_UNAVAILABLE', 'No Kafka broker is known.')
  }

  const session = (producer: Producer): ProducerSession => {
    const sequences = new Map<string, number>()
    const retire = (): void => {
      if (opening === mine) opening = undefined
    }
    const mine = opening
    return {
      producer,
      sequenceOf: (partition) => sequences.get(partition) ?? 0,
      appended(partition, records) {
        const next = (sequences.get(partition) ?? 0) + records
        sequences.set(partition, next)
        if (next > SEQUENCE_MAX - APPEND_RECORDS_MAX) retire()
      },
      retire,
    }
  }

  return {
    current() {
      if (opening === undefined) {
        const attempt = open()
        opening = attempt
        attempt.catch(() => {
          if (opening === attempt) opening = undefined
        })
      }
      return opening
    },
  }
}
