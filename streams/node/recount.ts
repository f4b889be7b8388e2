/**
 * The log as the third witness: replays a partition from its first record into a place of the store beside the replica, up to an
 * offset, and tells what a replica must have there. The replica goes on serving meanwhile. Only a log that is whole can tell.
 */
import { applyRecord, partitionTime } from '../core/apply.ts'
import { must } from '../core/assert.ts'
import { decodeRecord } from '../core/decode.ts'
import { TidemarkError } from '../core/errors.ts'
import { dueSpan, metaKey, readNumbered } from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import { LOG_TIME_MAX } from '../core/limits.ts'
import { encodeState, newState } from '../core/state.ts'
import type { PartitionState } from '../core/state.ts'
import type { LogRecord, LogTime, Offset } from '../core/types.ts'
import { failpoint } from '../failpoint.ts'
import type { Log } from '../log/log.ts'
import { REPLICA_BOUNDS } from '../replica/bounds.ts'
import { beginBuild, dropBuild } from '../replica/catalogue.ts'
import { ContentHasher } from '../replica/content.ts'
import type { Content } from '../replica/content.ts'
import { collectGarbage } from '../replica/garbage.ts'
import { loadWorkingSet } from '../replica/load.ts'
import type { Replica } from '../replica/replica.ts'
import { SessionCache } from '../replica/session-cache.ts'
import { sliceFrom } from '../replica/slice.ts'
import type { Store } from '../store/store.ts'

export interface Recounted {
  /** The chain of all records below the offset, and what a replica holds there. */
  readonly chain: string
  readonly content: Content
}

/** @returns undefined where the log no longer begins at its first record, or the signal ended it. @throws LOG_UNAVAILABLE, DISK_FULL */
export async function recount(
  log: Log,
  replica: Replica,
  until: Offset,
  pace: (units: number) => Promise<void>,
  signal: AbortSignal,
): Promise<Recounted | undefined> {
  const { store, topic } = replica
  const { partition, partitions, topicIdentity } = replica.state
  if ((await log.offsets(topic, partition)).start > 0) return undefined
  const prefix = beginBuild(store, topic, partition)
  try {
    const state = newState(partition, partitions, topicIdentity)
    const replay = new Replay(store, prefix, state)
    const reader = log.read(topic, partition, state.next, { identity: topicIdentity, partitions })
    try {
      while (replay.state.next < until && !signal.aborted) {
        const { records, nextOffset } = await reader.next()
        await replay.apply(records.filter(({ offset }) => offset < until))
        replay.stepTo(Math.min(nextOffset, until) as Offset)
      }
    } finally {
      reader.close()
    }
    return signal.aborted ? undefined : await replay.finish(pace)
  } finally {
    if (!signal.aborted) dropBuild(store, prefix)
  }
}

/** As a replica does it, for nobody: no history, nobody is told. */
class Replay {
  state: PartitionState
  readonly #store: Store
  readonly #prefix: Prefix
  readonly #sessions = new SessionCache()

  constructor(store: Store, prefix: Prefix, state: PartitionState) {
    this.#store = store
    this.#prefix = prefix
    this.state = state
  }

  async apply(records: readonly LogRecord[]): Promise<void> {
    for (let at = 0; at < records.length;) at += await this.#applySlice(sliceFrom(records, at))
  }

  /** Over offsets that hold no record for us. */
  stepTo(next: Offset): void {
    if (next > this.state.next) this.state = { ...this.state, next }
  }

  async finish(pace: (units: number) => Promise<void>): Promise<Recounted> {
    const batch = this.#store.batch()
    batch.put(metaKey(this.#prefix), encodeState(this.state))
    failpoint('recount.finish', () => {
      this.#store.write(batch)
    })
    const { next, rows, chain } = this.state
    const hasher = new ContentHasher({
      store: this.#store,
      prefix: this.#prefix,
      next,
      rows,
      tombstoneRecords: REPLICA_BOUNDS.tombstoneRecords,
    })
    try {
      for (let units = hasher.step(); units > 0; units = hasher.step()) await pace(units)
      return { chain: Buffer.from(chain).toString('hex'), content: hasher.finish() }
    } finally {
      hasher.close()
    }
  }

  /** @returns how many of the records were applied: at least one. */
  async #applySlice(records: readonly LogRecord[]): Promise<number> {
    const commands = records.map(decodeRecord)
    const state = { ...this.state, historyStart: must(records.at(-1), 'a record').offset }
    const until = records.reduce<LogTime>((latest, { time }) => partitionTime(latest, time), state.time)
    const work = await loadWorkingSet(
      { store: this.#store, prefix: this.#prefix, sessions: this.#sessions, nextDue: this.#nextDue() },
      state,
      commands,
      until,
    )
    let applied = 0
    for (; applied < records.length && (applied === 0 || work.canExpire); applied++) {
      const record = must(records[applied], 'a record')
      const done = applyRecord(state, work, record, must(commands[applied], 'a command'))
      if ('stop' in done)
        throw new TidemarkError('FORMAT_TOO_NEW', `the record at offset ${record.offset} needs a newer node`)
    }
    const batch = this.#store.batch()
    work.flush(batch, this.#prefix)
    batch.put(metaKey(this.#prefix), encodeState(state))
    failpoint('recount.write', () => {
      this.#store.write(batch)
    })
    work.settle()
    this.#sessions.update(work.sessions())
    this.state = state
    collectGarbage(this.#store, this.#prefix, state, REPLICA_BOUNDS)
    return applied
  }

  #nextDue(): number {
    const cursor = this.#store.cursor({ ...dueSpan(this.#prefix, LOG_TIME_MAX * 2), values: false })
    const first = cursor.next(1)[0]
    cursor.close()
    return first === undefined ? Infinity : readNumbered(first.key).number
  }
}
