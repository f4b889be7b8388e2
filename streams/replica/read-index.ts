/**
 * The verified read index (Raft's ReadIndex, Ongaro 2014, §6.4, for a Kafka partition): one round serves all reads that arrived
 * before it started; reads that arrive while it runs wait for the next one, never for the current one.
 */
import type { Offset, Partition } from '../core/types.ts'
import { must } from '../core/assert.ts'
import type { Log } from '../log/log.ts'

interface Round {
  readonly partitions: Set<Partition>
  readonly ends: Promise<ReadonlyMap<Partition, Offset>>
  readonly start: () => void
}

export class ReadIndex {
  readonly #log: Log
  readonly #topic: string
  #running = false
  #next: Round | undefined

  constructor(log: Log, topic: string) {
    this.#log = log
    this.#topic = topic
  }

  /** An end offset of the partition that no acknowledged append before this call lies behind. @throws LOG_UNAVAILABLE */
  async end(partition: Partition): Promise<Offset> {
    const round = (this.#next ??= this.#gather())
    round.partitions.add(partition)
    if (!this.#running) round.start()
    return must((await round.ends).get(partition), 'the end of a partition of the round')
  }

  #gather(): Round {
    const partitions = new Set<Partition>()
    let start: () => void = () => undefined
    const ends = new Promise<ReadonlyMap<Partition, Offset>>((resolve, reject) => {
      start = () => {
        if (this.#running) return
        this.#running = true
        // One microtask later: all reads of this turn travel in one round, which begins after each of them arrived.
        queueMicrotask(() => {
          this.#next = undefined
          this.#log
            .verifiedEnds(this.#topic, [...partitions])
            .then(resolve, reject)
            .finally(() => {
              this.#running = false
              this.#next?.start()
            })
        })
      }
    })
    return { partitions, ends, start }
  }
}
