/** Producers that know nothing of the nodes: they append to the simulated Kafka directly. */
import { textToBytes } from '../core/bytes.ts'
import type { Partition } from '../core/types.ts'
import { appendTime } from './broker-partition.ts'
import type { ForeignCall, Result } from './history.ts'
import type { SimulatedKafka } from './kafka.ts'
import { TOPIC } from './machine.ts'
import type { Recorder } from './recorder.ts'

/** @param answered - told with the acknowledgement; never when none comes */
export function produce(
  kafka: SimulatedKafka,
  recorder: Recorder,
  client: string,
  call: ForeignCall,
  answered: (result: Result) => void,
): void {
  const op = recorder.call(client, '', call)
  const partition = kafka.partition(TOPIC, call.partition as Partition)
  const headers = new Map(Object.entries(call.headers).map(([name, text]) => [name, textToBytes(text)]))
  const bytes = (text: string | null): Uint8Array | null => (text === null ? null : textToBytes(text))
  const record = { key: bytes(call.key), value: bytes(call.value), headers }
  const offset =
    partition === undefined ? undefined : partition.append([record], appendTime(kafka.timeOf(partition)))
  const end = (result: Result): void => {
    recorder.return(op, result)
    answered(result)
  }
  if (partition === undefined || offset === undefined) {
    end({ status: 'failed', reason: 'LOG_UNAVAILABLE' })
    return
  }
  partition.whenKept(offset + 1, (kept) => {
    if (kept) end({ status: 'ok', answer: { kind: 'appended', partition: call.partition, offset } })
    else end({ status: 'failed', reason: 'LOG_UNAVAILABLE' })
  })
  kafka.stir(partition)
}
