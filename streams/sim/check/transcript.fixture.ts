/**
 * Histories written by hand, a line for each thing that happened:
 *
 *   log 0 @5 put a 1 ttl 10 id s/1           offset 0 (of partition 1: `1/0`) at log time 5; also del, inc, txn, pack, barrier, raw
 *   log 1 @6 pack put a 1 id s/1 ; inc n 2
 *   log 2 @7 txn if a version 0 ; b value x then put b 1 else del a
 *   c1 put a 1 id s/1 => 0 v0                a call and its answer; a rejected one: `=> 3 VERSION_MISMATCH v1`; `again 0` = duplicate of 0
 *   A: c1 inc n 2                            a call alone, named A …
 *   A => 4 v4 number 7                       … and its return; also `=> failed REASON`, `=> unknown REASON`
 *   c1 get a lin => a 1 v0 at 0              lin, eventual, session (`session 0/3`, `session own`); `=> none at 0`
 *   c1 scan a z lin limit 2 reverse => a 1 v0 ; b 2 v1 at 0/5 1/3
 *   W: c2 watch - - resume 0/3 initial exact previous        `-` = no bound
 *   W ~ events put a 1 v0 @5 ; deleted a v1 @6 at 0/1        also progress, initial-end, delta-begin, started, restart
 *   c1 history a 10 lin => put a 1 v0 @5 at 0
 *   c1 outcome 0/3 => v3 @7
 *   c1 foreign 0 put a 1 => 0/4
 *   replica n1 0/5 abcd a 1 v0 ; b 2 v1
 *
 * Rows: `key value vVERSION [until T] [type T]`; an empty value is ''.
 */
import { must } from '../../core/assert.ts'
import { bytesToText } from '../../core/bytes.ts'
import type { RowMutation } from '../../core/mutation.ts'
import { draft, logged } from '../../core/testing/records.ts'
import { barrier, pack, txn } from '../../core/testing/transcript.ts'
import type { LogRecord, NewRecord } from '../../core/types.ts'
import type {
  Answer,
  At,
  Call,
  Change,
  CompareSaid,
  Entry,
  EventSeen,
  History,
  OutcomeSeen,
  ReplicaDump,
  Result,
  RowSeen,
  Seen,
  TransactionCall,
} from '../history.ts'
import type { Consistency } from '../../face.ts'
import { toMutation } from '../perform.ts'

/** The words of a line, taken one by one. */
class Words {
  readonly #words: readonly string[]
  #at = 0

  constructor(text: string) {
    this.#words = text.split(/\s+/).filter((word) => word !== '')
  }
  get done(): boolean {
    return this.#at === this.#words.length
  }
  get peek(): string {
    return this.#words[this.#at] ?? ''
  }
  next(): string {
    const word = must(this.#words[this.#at++], 'a word of the transcript')
    return word === "''" ? '' : word
  }
  number(): number {
    return Number(this.next())
  }
  /** Takes the word if it comes next. */
  take(word: string): boolean {
    if (this.peek !== word) return false
    this.#at += 1
    return true
  }
  /** The word behind a name, where the name comes next. */
  after(name: string): string | undefined {
    return this.take(name) ? this.next() : undefined
  }
  /** `v7` → 7 */
  marked(mark: string): number | undefined {
    if (!/^\d+$/.test(this.peek.slice(mark.length)) || !this.peek.startsWith(mark)) return undefined
    return Number(this.next().slice(mark.length))
  }
  at(): At {
    const [first = '', second] = this.next().split('/')
    return second === undefined
      ? { partition: 0, offset: Number(first) }
      : { partition: Number(first), offset: Number(second) }
  }
  ats(): readonly At[] {
    const found: At[] = []
    while (/^\d+\/-?\d+$|^-?\d+$/.test(this.peek)) found.push(this.at())
    return found
  }
  /** Parts between semicolons. */
  list<T>(read: () => T): readonly T[] {
    const found = [read()]
    while (this.take(';')) found.push(read())
    return found
  }
}

const optional = <K extends string, T>(name: K, value: T | undefined): { readonly [P in K]?: T } =>
  value === undefined ? {} : ({ [name]: value } as { readonly [P in K]?: T })

const numeric = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number(text)

export function transcript(text: string, partitions = 1): History {
  const entries: Entry[] = []
  const log: LogRecord[][] = Array.from({ length: partitions }, () => [])
  const replicas: ReplicaDump[] = []
  const named = new Map<string, { readonly op: number; readonly call: Call }>()
  let op = 0

  const push = (entry: object): void => {
    entries.push({ seq: entries.length, atMs: entries.length, ...entry } as Entry)
  }
  const call = (words: Words): { readonly op: number; readonly call: Call } => {
    const client = words.next()
    const made = { op: ++op, call: readCall(words) }
    push({ type: 'call', client, node: 'n1', ...made })
    return made
  }
  const answer = (asked: { readonly op: number; readonly call: Call }, words: Words): void => {
    push({ type: 'return', op: asked.op, result: readResult(asked.call, words) })
  }

  for (const line of text.split('\n').map((one) => one.trim())) {
    if (line === '') continue
    const words = new Words(line)
    if (words.take('log')) {
      const { partition, offset } = words.at()
      const time = must(words.marked('@'), 'a log time')
      must(log[partition], 'a partition').push(logged(offset, time, readRecord(words)))
    } else if (words.take('replica')) {
      const node = words.next()
      const { partition, offset: next } = words.at()
      const chain = words.next()
      replicas.push({
        node,
        partition,
        next,
        chain,
        rows: words.done ? [] : words.list(() => readRow(words)),
      })
    } else if (words.take('fault')) push({ type: 'fault', name: words.next(), active: words.next() === 'on' })
    else if (words.peek.endsWith(':')) named.set(words.next().slice(0, -1), call(words))
    else if (named.has(words.peek)) {
      const asked = must(named.get(words.next()), 'a named call')
      if (words.take('~')) push({ type: 'seen', op: asked.op, seen: readSeen(words) })
      else if (words.take('=>')) answer(asked, words)
    } else {
      const [before = '', after = ''] = line.split('=>')
      answer(call(new Words(before)), new Words(after))
    }
  }
  return { keyspace: { name: 'default', partitions, separator: '' }, entries, log, replicas }
}

function readRow(words: Words): RowSeen {
  const [key, value] = [words.next(), words.next()]
  const version = must(words.marked('v'), 'a version')
  return {
    key,
    value,
    version,
    expiresAt: Number(words.after('until') ?? 0),
    contentType: words.after('type') ?? '',
  }
}

function readChange(words: Words): Change {
  const [kind, key] = [words.next(), words.next()]
  if (kind === 'del') return { kind: 'delete', key }
  const value = words.next()
  const ttl = optional('ttlMs', numeric(words.after('ttl')))
  if (kind === 'inc') return { kind: 'increment', key, delta: value, ...ttl }
  return { kind: 'put', key, value, ...ttl, ...optional('contentType', words.after('type')) }
}

const readWriting = (words: Words) => ({
  ...optional('ifVersion', numeric(words.after('if'))),
  ...optional('requestId', words.after('id')),
})

function readTransaction(words: Words): TransactionCall {
  const compares = words.take('if')
    ? words.list((): CompareSaid => {
        const key = words.next()
        return words.take('value')
          ? { key, operator: 'equal', value: words.next() }
          : { key, operator: 'equal', version: Number(must(words.after('version'), 'version or value')) }
      })
    : []
  const thenChanges = words.take('then') ? words.list(() => readChange(words)) : []
  const elseChanges = words.take('else') ? words.list(() => readChange(words)) : []
  const reads = words.take('read')
    ? words.list(() => ({ when: words.next() === 'before' ? 'before' : 'after', key: words.next() }) as const)
    : []
  const id = optional('requestId', words.after('id'))
  return { kind: 'txn', compares, thenChanges, elseChanges, thenReads: reads, elseReads: [], ...id }
}

function readRecord(words: Words): NewRecord {
  if (words.take('barrier')) return barrier
  if (words.take('raw')) return draft(words.next(), words.next(), { 'tm-op': words.next() })
  if (words.take('txn')) {
    const mutation = toMutation(readTransaction(words))
    if (mutation.kind !== 'txn') throw new Error('no transaction')
    return txn(mutation.compares, mutation.thenChanges, mutation.elseChanges, mutation.requestId)
  }
  const mutations = (): RowMutation =>
    toMutation({ ...readChange(words), ...readWriting(words) }) as RowMutation
  if (words.take('pack')) return pack(words.list(mutations))
  return recordOf(mutations())
}

function recordOf(mutation: RowMutation): NewRecord {
  const headers: Record<string, string> = {}
  if (mutation.kind === 'increment') headers['tm-op'] = 'increment'
  if (mutation.ifVersion !== undefined) headers['tm-if-version'] = String(mutation.ifVersion)
  if (mutation.kind !== 'delete' && mutation.ttlMs !== undefined)
    headers['tm-ttl-ms'] = String(mutation.ttlMs)
  if (mutation.kind === 'put' && mutation.contentType !== undefined)
    headers['content-type'] = mutation.contentType
  if (mutation.requestId !== undefined) headers['tm-request-id'] = mutation.requestId
  const value =
    mutation.kind === 'put' ? mutation.value : mutation.kind === 'increment' ? String(mutation.delta) : null
  return draft(mutation.key, value, headers)
}

function readFreshness(words: Words) {
  const name = words.next()
  const consistency: Consistency = name === 'lin' ? 'linearizable' : name === 'session' ? name : 'eventual'
  return {
    consistency,
    token: words.take('own') ? ('own' as const) : words.ats(),
  }
}

const readBound = (words: Words): string | undefined => (words.take('-') ? undefined : words.next())

function readCall(words: Words): Call {
  switch (words.peek) {
    case 'put':
    case 'del':
    case 'inc':
      return { ...readChange(words), ...readWriting(words) }
    case 'txn':
      words.next()
      return readTransaction(words)
    default:
      return readOtherCall(words.next(), words)
  }
}

function readOtherCall(kind: string, words: Words): Call {
  switch (kind) {
    case 'get': {
      const key = words.next()
      const at = optional('at', numeric(words.after('version')))
      return { kind, key, ...at, ...readFreshness(words) }
    }
    case 'getMany':
      return { kind, keys: words.list(() => words.next()), ...readFreshness(words) }
    case 'scan': {
      const [start, end] = [readBound(words) ?? '', readBound(words)]
      const fresh = readFreshness(words)
      const limit = optional('limit', numeric(words.after('limit')))
      return {
        kind,
        start,
        end,
        ...fresh,
        ...limit,
        reverse: words.take('reverse'),
        keysOnly: words.take('keys'),
      }
    }
    case 'watch': {
      const [start, end] = [readBound(words) ?? '', readBound(words)]
      const resume = words.take('resume') ? words.ats() : []
      const [initialRows, exact, previousRows] = [
        words.take('initial'),
        words.take('exact'),
        words.take('previous'),
      ]
      return { kind, start, end, resume, initialRows, exact, previousRows }
    }
    case 'history':
      return { kind, key: words.next(), limit: words.number(), ...readFreshness(words) }
    case 'outcome':
      return { kind, ...words.at() }
    case 'foreign': {
      const partition = words.number()
      const { key, value, headers } = readRecord(words)
      const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : bytesToText(bytes))
      const said = Object.fromEntries([...headers].map(([name, bytes]) => [name, bytesToText(bytes)]))
      return { kind, partition, key: text(key), value: text(value), headers: said }
    }
    default:
      return { kind: 'cut' }
  }
}

function readResult(call: Call, words: Words): Result {
  if (words.take('failed')) return { status: 'failed', reason: words.next() }
  if (words.take('unknown')) return { status: 'unknown', reason: words.next() }
  return { status: 'ok', answer: readAnswer(call, words) }
}

function readAnswer(call: Call, words: Words): Answer {
  switch (call.kind) {
    case 'get':
    case 'getMany':
    case 'scan': {
      const none = words.take('nothing')
      const rows = none ? [] : words.list(() => (words.take('none') ? null : readRow(words)))
      const shown = words.take('at') ? words.ats() : []
      return {
        kind: 'rows',
        rows,
        shown: shown.map(({ partition, offset }) => ({ partition, applied: offset })),
      }
    }
    case 'history': {
      const versions = words.take('nothing') ? [] : words.list(() => readEvent(words))
      const earliest = numeric(words.after('earliest'))
      const shown = words.take('at') ? words.ats() : []
      return {
        kind: 'versions',
        versions,
        earliest,
        shown: shown.map(({ partition, offset }) => ({ partition, applied: offset })),
      }
    }
    case 'outcome': {
      const outcomes = words.list(() => readOutcome(words))
      return { kind: 'outcomes', outcomes, time: must(words.marked('@'), 'a log time') }
    }
    case 'foreign':
    case 'rubbish':
      return { kind: 'appended', ...words.at() }
    case 'watch':
    case 'cut':
      return { kind: 'ended' }
    default: {
      const { partition, offset } = words.at()
      if (words.take('logged')) return { kind: 'written', partition, offset, outcome: undefined, reads: [] }
      const outcome = readOutcome(words, offset)
      const reads = words.take('read') ? words.list(() => (words.take('none') ? null : readRow(words))) : []
      return { kind: 'written', partition, offset, outcome, reads }
    }
  }
}

function readOutcome(words: Words, position?: number): OutcomeSeen {
  const reason = /^[A-Z_]+$/.test(words.peek) ? words.next() : undefined
  const version = words.marked('v')
  const number = words.after('number')
  const branch = words.take('then') ? true : words.take('else') ? false : undefined
  const again = words.after('again')
  return {
    applied: reason === undefined,
    ...optional('offset', numeric(again) ?? position),
    ...optional('reason', reason),
    ...optional('version', version),
    ...optional('number', number),
    ...optional('succeeded', branch),
    duplicate: again !== undefined,
  }
}

function readEvent(words: Words): EventSeen {
  const kind = words.next()
  const key = words.next()
  const value = kind === 'put' ? words.next() : ''
  const version = must(words.marked('v'), 'a version')
  const partition = Number(words.after('in') ?? 0)
  const [expiresAt, contentType] = [Number(words.after('until') ?? 0), words.after('type') ?? '']
  const time = words.marked('@') ?? 0
  const row: RowSeen = { key, value, version, expiresAt, contentType }
  const was = words.take('was') ? (words.take('none') ? null : readRow(words)) : undefined
  const change = kind === 'put' ? kind : kind === 'expired' ? kind : 'deleted'
  return { kind: change, partition, row, time, ...optional('previous', was) }
}

const MARKS = ['started', 'events', 'initial-end', 'progress', 'delta-begin', 'restart'] as const

function readSeen(words: Words): Seen {
  const name = words.next()
  const mark = must(
    MARKS.find((one) => one === name),
    'a mark of a watch',
  )
  const events = words.done || words.peek === 'at' ? [] : words.list(() => readEvent(words))
  return { mark, events, positions: words.take('at') ? words.ats() : undefined }
}
