/**
 * A store without faults, as simple as can be: one log for each partition in memory, the model beside it. Clients call at random, records land
 * at any moment between call and answer, answers get lost. What it writes down is a good history of any length.
 */
import { must } from '../../core/assert.ts'
import { Model } from '../../core/testing/model.ts'
import type { Prng } from '../../core/testing/prng.ts'
import { encodeMutation } from '../../core/encode.ts'
import type { LogRecord, LogTime, NewRecord, Offset } from '../../core/types.ts'
import type { Coverage } from '../coverage.ts'
import { isWrite } from '../history.ts'
import type { Answer, At, Call, Entry, EventSeen, History, Result, RowSeen, Seen } from '../history.ts'
import { toMutation, toOutcomeSeen } from '../perform.ts'
import { Recorder } from '../recorder.ts'
import { Workload } from '../workload.ts'
import type { WorkloadOptions } from '../workload.ts'
import { PartitionTruth, Truth, countWhile, toSeen } from './truth.ts'

interface Flying {
  readonly op: number
  readonly client: string
  readonly call: Call
  /** Of each partition, when it was called: what a linearizable read shows at least. */
  readonly ends: readonly number[]
  /** Where its record stands, once it has landed. */
  place: At | undefined
}

/** A read whose rows are filled in when the whole log is known. */
interface Open {
  readonly entry: number
  readonly call: Call
  readonly shown: readonly At[]
}

export interface PerfectOptions {
  readonly calls: number
  readonly clients: number
  readonly partitions: number
  readonly workload?: Partial<WorkloadOptions>
  readonly coverage?: Coverage
  readonly faultKinds?: readonly string[]
}

export function perfectHistory(prng: Prng, options: PerfectOptions): History {
  return new Perfect(prng, options).run()
}

class Perfect {
  readonly #prng: Prng
  readonly #options: PerfectOptions
  readonly #models: readonly Model[]
  readonly #log: LogRecord[][]
  readonly #recorder: Recorder
  readonly #workload: Workload
  readonly #flying: Flying[] = []
  readonly #open: Open[] = []
  readonly #placing: Truth
  #time = 1000

  constructor(prng: Prng, options: PerfectOptions) {
    this.#prng = prng
    this.#options = options
    const { partitions, coverage } = options
    this.#models = Array.from({ length: partitions }, (_, at) => new Model(at, partitions))
    this.#log = Array.from({ length: partitions }, () => [])
    this.#recorder = new Recorder({ now: () => this.#time, onEntry: (entry) => coverage?.take(entry) })
    this.#placing = new Truth({ name: '', partitions, separator: '' }, [])
    const partitionOf = (key: string): number => this.#placing.partitionOf(key)
    this.#workload = new Workload(prng, { partitions, partitionOf, ...options.workload })
  }

  run(): History {
    const { calls, clients, partitions, coverage, faultKinds = [] } = this.#options
    for (let made = 0; made < calls || this.#flying.length > 0;) {
      this.#time += this.#prng.below(3)
      if (
        made < calls &&
        (this.#flying.length === 0 || (this.#flying.length < clients && this.#prng.chance(40)))
      ) {
        const client = `c${this.#prng.below(clients)}`
        if (this.#flying.some((one) => one.client === client)) continue
        const call = this.#workload.next(client, coverage)
        const op = this.#recorder.call(client, 'n1', call)
        const ends = this.#log.map((records) => records.at(-1)?.offset ?? -1)
        this.#flying.push({ op, client, call, ends, place: undefined })
        made += 1
      } else this.#move(must(this.#flying[this.#prng.below(this.#flying.length)], 'one in flight'))
      const fault = faultKinds[this.#prng.below(Math.max(1, faultKinds.length))]
      if (fault !== undefined && this.#prng.chance(5))
        this.#recorder.fault(`${fault} n1`, this.#prng.chance(50))
    }
    const keyspace = { name: 'default', partitions, separator: '' }
    const truths = this.#log.map((records, at) => new PartitionTruth(at, partitions, records))
    const entries = this.#fill(this.#recorder.entries, truths)
    const replicas = truths.map((truth, partition) => ({
      node: 'n1',
      partition,
      next: truth.last + 1,
      chain: '',
      rows: this.#rowsAt(truth, truth.last),
    }))
    return { keyspace, entries, log: this.#log, replicas }
  }

  /** Lands its record, or answers it. */
  #move(flying: Flying): void {
    const { call } = flying
    const isWriting = isWrite(call) || call.kind === 'foreign' || call.kind === 'rubbish'
    if (isWriting && flying.place === undefined) {
      if (this.#prng.chance(2)) return this.#end(flying, { status: 'unknown', reason: 'NODE_UNREACHABLE' })
      flying.place = this.#land(call)
      if (this.#prng.chance(30)) return
    }
    if (isWriting && this.#prng.chance(4))
      this.#end(flying, { status: 'unknown', reason: 'DEADLINE_EXCEEDED' })
    else this.#end(flying, this.#answer(flying))
  }

  #end(flying: Flying, result: Result): void {
    this.#flying.splice(this.#flying.indexOf(flying), 1)
    this.#recorder.return(flying.op, result)
    this.#workload.learn(flying.client, flying.call, result)
  }

  #land(call: Call): At {
    const partition = this.#partitionOf(call)
    const records = must(this.#log[partition], 'a partition')
    const offset = (records.at(-1)?.offset ?? -1) + 1 + (this.#prng.chance(3) ? 1 : 0)
    const record = { ...recordOf(call), offset: offset as Offset, time: this.#time as LogTime }
    records.push(record)
    must(this.#models[partition], 'a model').apply(record)
    return { partition, offset }
  }

  #partitionOf(call: Call): number {
    if (call.kind === 'foreign' || call.kind === 'rubbish') return call.partition
    const key = call.kind === 'txn' ? call.thenChanges[0]?.key : 'key' in call ? call.key : undefined
    return this.#placing.partitionOf(key ?? '')
  }

  #endOf(partition: number): number {
    return this.#log[partition]?.at(-1)?.offset ?? -1
  }

  #answer({ op, call, ends, place }: Flying): Result {
    const entry = this.#recorder.entries.length
    const answer = (made: Answer): Result => ({ status: 'ok', answer: made })
    if (call.kind === 'watch') {
      const shown = this.#log.map((_, partition): At => {
        const from = call.resume.find((at) => at.partition === partition)?.offset
        return { partition, offset: from ?? ends[partition] ?? -1 }
      })
      this.#watch(op, call, shown)
      return answer({ kind: 'ended' })
    }
    if (place !== undefined) {
      const written = call.kind === 'foreign' || call.kind === 'rubbish'
      if (written) return answer({ kind: 'appended', ...place })
      this.#open.push({ entry, call, shown: [place] })
      const told = this.#models[place.partition]
      const last = this.#log[place.partition]?.at(-1)
      // Only what a later call can learn from: the rest is filled in.
      const version =
        told !== undefined && last?.offset === place.offset && 'key' in call
          ? told.rows.get(call.key ?? '')?.version
          : undefined
      const outcome = { applied: true, duplicate: false, ...(version === undefined ? {} : { version }) }
      return answer({ kind: 'written', ...place, outcome, reads: [] })
    }
    if (call.kind === 'cut') return answer({ kind: 'ended' })
    if (call.kind === 'outcome' && !this.#isInLog(call))
      return { status: 'failed', reason: 'OUTCOME_UNKNOWN' }
    if (call.kind === 'get' && call.at !== undefined && call.at > this.#endOf(this.#partitionOf(call)))
      return { status: 'failed', reason: 'TOKEN_BEYOND_LOG' }
    this.#open.push({ entry, call, shown: this.#stand(call, ends) })
    const shown = this.#stand(call, ends).map(({ partition }) => ({ partition, applied: -1 }))
    return answer({ kind: 'rows', rows: [], shown })
  }

  #isInLog({ partition, offset }: At): boolean {
    const records = this.#log[partition] ?? []
    return records[countWhile(records, (record) => record.offset < offset)]?.offset === offset
  }

  /** Somewhere between what is promised and the end, in each partition that it touches. */
  #stand(call: Call, ends: readonly number[]): readonly At[] {
    const keys = 'keys' in call ? call.keys : 'key' in call && call.key !== null ? [call.key] : undefined
    const only = 'partitions' in call ? call.partitions : undefined
    const all = only ?? keys?.map((key) => this.#placing.partitionOf(key)) ?? this.#log.map((_, at) => at)
    return [...new Set(all)].map((partition) => {
      const end = this.#endOf(partition)
      let least = -1
      if ('consistency' in call && call.consistency === 'linearizable') least = ends[partition] ?? -1
      if ('consistency' in call && call.token !== 'own')
        least = Math.max(least, call.token.find((at) => at.partition === partition)?.offset ?? -1)
      if (call.kind === 'get' && call.at !== undefined) least = Math.max(least, Math.min(call.at, end))
      return { partition, offset: least + this.#prng.below(end - least + 1) }
    })
  }

  // ---- when the log is whole ----

  readonly #watches: {
    readonly op: number
    readonly call: Call & { readonly kind: 'watch' }
    readonly from: readonly At[]
    readonly to: readonly At[]
  }[] = []

  #watch(op: number, call: Call & { readonly kind: 'watch' }, from: readonly At[]): void {
    const to = from.map(({ partition }) => ({ partition, offset: this.#endOf(partition) }))
    this.#watches.push({ op, call, from, to })
    this.#recorder.seen(op, { mark: 'events', events: [], positions: to })
    this.#workload.ended({ positions: to })
  }

  #fill(entries: readonly Entry[], truths: readonly PartitionTruth[]): readonly Entry[] {
    const open = new Map(this.#open.map((one) => [one.entry, one]))
    const watches = new Map(this.#watches.map((one) => [one.op, one]))
    const filled = entries.flatMap((entry): readonly Entry[] => {
      if (entry.type === 'seen') {
        const { call, from, to } = must(watches.get(entry.op), 'a watch')
        return this.#messages(truths, call, from, to).map((seen) => ({ ...entry, seen }))
      }
      const found = open.get(entry.seq)
      if (entry.type !== 'return' || found === undefined || entry.result.status !== 'ok') return [entry]
      return [
        { ...entry, result: { status: 'ok', answer: this.#answerOf(truths, found, entry.result.answer) } },
      ]
    })
    return filled.map((entry, seq) => ({ ...entry, seq }))
  }

  #answerOf(truths: readonly PartitionTruth[], { call, shown }: Open, made: Answer): Answer {
    const of = (partition: number): PartitionTruth => must(truths[partition], 'a partition')
    const [{ partition, offset } = { partition: 0, offset: -1 }] = shown
    const applied = shown.map((at) => ({ partition: at.partition, applied: at.offset }))
    const row = (key: string, at: number): RowSeen | null => {
      const found = of(this.#placing.partitionOf(key)).rowAt(key, at)
      return found === undefined ? null : toSeen(key, found)
    }
    const shownAt = (key: string): number =>
      shown.find((at) => at.partition === this.#placing.partitionOf(key))?.offset ?? -1
    switch (call.kind) {
      case 'get':
        return { kind: 'rows', rows: [row(call.key, call.at ?? offset)], shown: applied }
      case 'getMany':
        return { kind: 'rows', rows: call.keys.map((key) => row(key, shownAt(key))), shown: applied }
      case 'scan': {
        const rows = shown.flatMap((at) => this.#rowsAt(of(at.partition), at.offset))
        const { start, end, limit = Infinity, reverse, keysOnly } = call
        const inside = rows.filter(({ key }) => key >= start && (end === undefined || key < end))
        inside.sort((a, b) => (a.key < b.key === (reverse !== true) ? -1 : 1))
        const given = inside.slice(0, limit).map((one) => (keysOnly === true ? { ...one, value: '' } : one))
        return { kind: 'rows', rows: given, shown: applied }
      }
      case 'history': {
        const versions = of(partition)
          .versions(call.key)
          .slice(0, of(partition).versionsUpTo(call.key, offset))
        const events = versions.toReversed().slice(0, call.limit)
        const seen = events.map((one): EventSeen => {
          const gone = { key: call.key, value: '', version: one.offset, expiresAt: 0, contentType: '' }
          return {
            kind: one.kind,
            partition,
            time: one.time,
            row: one.row === undefined ? gone : toSeen(call.key, one.row),
          }
        })
        return { kind: 'versions', versions: seen, earliest: undefined, shown: applied }
      }
      case 'outcome': {
        const told = must(of(call.partition).record(call.offset), 'a record')
        return { kind: 'outcomes', outcomes: told.outcomes.map(toOutcomeSeen), time: told.time }
      }
      default: {
        const [outcome] = must(of(partition).record(offset), 'a record').outcomes
        if (made.kind !== 'written' || outcome === undefined) return made
        const wanted =
          call.kind !== 'txn' || outcome.status !== 'applied'
            ? []
            : outcome.succeeded === true
              ? call.thenReads
              : call.elseReads
        const told = must(of(partition).record(outcome.offset), 'a record')
        const reads = wanted.map(({ key, when }) => {
          const change = told.changes.find((one) => one.key === key)
          if (when === 'after' || change === undefined) return row(key, told.offset)
          const { previous } = change
          const isDue = previous !== undefined && previous.expiresAt !== 0 && previous.expiresAt <= told.time
          return previous === undefined || isDue ? null : toSeen(key, previous)
        })
        return { ...made, outcome: toOutcomeSeen(outcome), reads }
      }
    }
  }

  #messages(
    truths: readonly PartitionTruth[],
    call: Call & { readonly kind: 'watch' },
    from: readonly At[],
    to: readonly At[],
  ): readonly Seen[] {
    const inside = (key: string): boolean => key >= call.start && (call.end === undefined || key < call.end)
    const messages: Seen[] = []
    const reached = from.map((at) => ({ ...at }))
    const positions = (): readonly At[] => reached.map((at) => ({ ...at }))
    if (call.initialRows) {
      for (const { partition, offset } of from) {
        const rows = this.#rowsAt(must(truths[partition], 'a partition'), offset).filter(({ key }) =>
          inside(key),
        )
        messages.push({
          mark: 'events',
          events: rows.map((row) => ({ kind: 'put', partition, row, time: 0 })),
          positions: [],
        })
      }
      messages.push({ mark: 'initial-end', events: [], positions: positions() })
    } else messages.push({ mark: 'progress', events: [], positions: positions() })
    for (const [partition, truth] of truths.entries()) {
      const [place, end] = [must(reached[partition], 'a place'), to[partition]?.offset ?? -1]
      const { changing } = truth
      const first = countWhile(changing, (told) => told.offset <= place.offset)
      const behind = countWhile(changing, (told) => told.offset <= end)
      for (const told of changing.slice(first, behind)) {
        const events = told.changes
          .filter(({ key }) => inside(key))
          .map((change): EventSeen => {
            const { kind, key, row, previous } = change
            const gone = { key, value: '', version: told.offset, expiresAt: 0, contentType: '' }
            const before =
              call.previousRows && previous !== undefined ? { previous: toSeen(key, previous) } : {}
            return {
              kind,
              partition,
              time: told.time,
              row: row === undefined ? gone : toSeen(key, row),
              ...before,
            }
          })
        place.offset = told.offset
        if (events.length > 0) messages.push({ mark: 'events', events, positions: positions() })
      }
      place.offset = Math.max(place.offset, end)
    }
    return [...messages, { mark: 'progress', events: [], positions: positions() }]
  }

  #rowsAt(truth: PartitionTruth, offset: number): readonly RowSeen[] {
    return truth.keys.flatMap((key) => {
      const row = truth.rowAt(key, offset)
      return row === undefined ? [] : [toSeen(key, row)]
    })
  }
}

function recordOf(call: Call): NewRecord {
  if (isWrite(call)) return encodeMutation(toMutation(call))
  if (call.kind !== 'foreign' && call.kind !== 'rubbish') throw new Error(`a ${call.kind} has no record`)
  const bytes = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text, 'latin1'))
  return {
    key: bytes(call.key),
    value: bytes(call.value),
    headers: new Map(Object.entries(call.headers).map(([name, text]) => [name, Buffer.from(text, 'latin1')])),
  }
}
