/** A client as users have it, whose every call and answer is written down. Each is one session: its calls follow one another. */
import {
  type Row,
  type Tidemark,
  TidemarkError,
  type WatchItem,
  connect,
} from '../../services/client/index.ts'
import { bytesToText } from '../../streams/core/bytes.ts'
import type {
  Answer,
  Call,
  EventSeen,
  OutcomeSeen,
  Result,
  RowSeen,
  Seen,
} from '../../streams/sim/history.ts'
import { isFinal } from '../../streams/sim/perform.ts'
import type { Recorder } from '../../streams/sim/recorder.ts'
import type { ConsistencyName, Keyspace, Watch, Written } from '../../services/client/types.ts'

/** Milliseconds that a call has, retries of the client included. */
const DEADLINE_MS = 5000

export interface Transfer {
  readonly from: Row
  readonly to: Row
  readonly amount: number
}

export class RecordedClient {
  readonly name: string
  readonly #db: Tidemark
  readonly #rows: Keyspace
  readonly #recorder: Recorder
  readonly #watches = new Set<Watch>()

  constructor(name: string, servers: readonly string[], keyspace: string, recorder: Recorder) {
    this.name = name
    this.#db = connect({ server: servers, deadlineMs: DEADLINE_MS })
    this.#rows = this.#db.keyspace(keyspace)
    this.#recorder = recorder
  }

  /** @returns the row as far as it was answered */
  async get(key: string, consistency: ConsistencyName): Promise<Row | undefined> {
    let row: Row | undefined
    await this.#run({ kind: 'get', key, consistency, token: 'own' }, async () => {
      row = await this.#rows.get(key, { consistency })
      return { kind: 'rows', rows: [row === undefined ? null : rowSeen(row)], shown: [] }
    })
    return row
  }

  async getMany(keys: readonly string[]): Promise<void> {
    await this.#run({ kind: 'getMany', keys, consistency: 'linearizable', token: 'own' }, async () => {
      const rows = await this.#rows.getMany(keys)
      return { kind: 'rows', rows: rows.map((row) => (row === undefined ? null : rowSeen(row))), shown: [] }
    })
  }

  async put(key: string, value: string, options: { ifVersion?: number; ttlMs?: number } = {}): Promise<void> {
    await this.#run({ kind: 'put', key, value, ...options }, async () =>
      writtenAnswer(await this.#rows.put(key, value, options)),
    )
  }

  async delete(key: string): Promise<void> {
    await this.#run({ kind: 'delete', key }, async () => writtenAnswer(await this.#rows.delete(key)))
  }

  async increment(key: string, delta: number): Promise<void> {
    await this.#run({ kind: 'increment', key, delta: String(delta) }, async () => {
      const written = await this.#rows.increment(key, delta)
      return writtenAnswer(written, { number: String(written.number) })
    })
  }

  /** Moves an amount from one row to another if neither has changed since it was read. */
  async transfer({ from, to, amount }: Transfer): Promise<void> {
    const changes = [
      { key: from.keyText(), value: String(Number(from.text()) - amount) },
      { key: to.keyText(), value: String(Number(to.text()) + amount) },
    ]
    const call: Call = {
      kind: 'txn',
      compares: [from, to].map((row) => ({
        key: row.keyText(),
        operator: 'equal' as const,
        version: row.version,
      })),
      thenChanges: changes.map((change) => ({ kind: 'put' as const, ...change })),
      elseChanges: [],
      thenReads: [],
      elseReads: [],
    }
    await this.#run(call, async () => {
      const done = await this.#rows.transact({
        if: [from, to].map((row) => ({ key: row.keyText(), version: row.version })),
        then: changes.map(({ key, value }) => ({ put: key, value })),
      })
      return writtenAnswer(done, { succeeded: done.succeeded })
    })
  }

  /** Follows all rows until it is told to end; resolves when it has ended. It must not fail. */
  async watch(): Promise<void> {
    const call: Call = {
      kind: 'watch',
      start: '',
      resume: [],
      initialRows: false,
      exact: true,
      previousRows: false,
    }
    const op = this.#recorder.call(this.name, '', call)
    const watch = this.#rows.watch({ exact: true, progressMs: 1000 })
    this.#watches.add(watch)
    try {
      await watch.started
      this.#recorder.seen(op, { mark: 'started', events: [], positions: undefined })
      for await (const item of watch) this.#recorder.seen(op, seenOf(item))
      this.#recorder.return(op, { status: 'ok', answer: { kind: 'ended' } })
    } catch (caught) {
      this.#recorder.return(op, { status: 'failed', reason: TidemarkError.from(caught).reason })
    }
  }

  async endWatches(): Promise<void> {
    for (const watch of this.#watches) await watch.return?.()
  }

  async close(): Promise<void> {
    await this.endWatches()
    await this.#db.close()
  }

  async #run(call: Call, work: () => Promise<Answer>): Promise<void> {
    const op = this.#recorder.call(this.name, '', call)
    let result: Result
    try {
      result = { status: 'ok', answer: await work() }
    } catch (caught) {
      const { reason } = TidemarkError.from(caught)
      const reading = call.kind === 'get' || call.kind === 'getMany'
      result = { status: reading || isFinal(reason) ? 'failed' : 'unknown', reason }
    }
    this.#recorder.return(op, result)
  }
}

const writtenAnswer = (
  { partition, offset, version, duplicate }: Written,
  more: Partial<OutcomeSeen> = {},
): Answer => ({
  kind: 'written',
  partition,
  offset,
  outcome: { applied: true, offset: duplicate ? undefined : offset, version, duplicate, ...more },
  reads: [],
})

export const rowSeen = ({ key, value, version, expiresAtMs, contentType }: Row): RowSeen => ({
  key: bytesToText(key),
  value: bytesToText(value),
  version,
  expiresAt: expiresAtMs,
  contentType,
})

function seenOf(item: WatchItem): Seen {
  if (!('row' in item)) return { mark: item.type, events: [], positions: undefined }
  const kind: EventSeen['kind'] = item.type
  const event: EventSeen = { kind, row: rowSeen(item.row), partition: item.row.partition, time: item.timeMs }
  return { mark: 'events', events: [event], positions: undefined }
}
