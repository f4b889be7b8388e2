/** Makes calls of the Log port one after the other, and writes down what came of each, as text: the same on every log. */
import { textToBytes, bytesToText } from '../../streams/core/bytes.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { offset, partition, type NewRecord } from '../../streams/core/types.ts'
import type { Append, Appended, Log, PartitionReader, TopicDescription } from '../../streams/log/log.ts'
import { PARTITIONS, place, VALUE_BYTES_MAX, type LogCall, type RecordMade } from './log-calls.ts'

/** A log, and what lies behind it. */
export interface LogSide {
  readonly log: Log
  /** The topic that the calls are about; another one begins with the same name. */
  readonly topic: string
  /** Lets it come to its end. */
  readonly settle: <T>(promise: Promise<T>) => Promise<T>
  /** A direct producer writes them in one transaction; resolves when its control record stands. */
  transaction(at: Append, commits: boolean): Promise<void>
  elect(partition: number): void
}

interface Following {
  readonly reader: PartitionReader
  readonly partition: number
  /** Of the topic that it reads. */
  readonly identity: string
  /** The offset that it reads next. */
  position: number
}

const SETTINGS = { partitions: PARTITIONS, valueBytesMax: VALUE_BYTES_MAX, replication: 1 }

/** What is asked while there is no topic; the others are a listed difference (`no-topic`). */
const WITHOUT_TOPIC: ReadonlySet<LogCall['kind']> = new Set(['create', 'delete', 'describe', 'list', 'close'])

/** @returns one line for each call */
export async function traceLog(side: LogSide, calls: readonly LogCall[]): Promise<readonly string[]> {
  const run = new LogTrace(side)
  const lines: string[] = []
  try {
    await run.begin()
    for (const call of calls) lines.push(`${call.kind}: ${await run.make(call)}`)
  } finally {
    await run.end()
  }
  return lines
}

class LogTrace {
  readonly #side: LogSide
  readonly #log: Log
  readonly #following = new Map<number, Following>()
  /** Incarnations of the topic, in the order in which they were seen. */
  readonly #identities: string[] = []
  #known: TopicDescription | undefined
  #isGone = false

  constructor(side: LogSide) {
    this.#side = side
    this.#log = side.log
  }

  async begin(): Promise<void> {
    await this.#create(PARTITIONS)
  }

  async end(): Promise<void> {
    for (const { reader } of this.#following.values()) reader.close()
    await this.#side.settle(this.#log.deleteTopic(this.#side.topic)).catch(() => undefined)
  }

  async make(call: LogCall): Promise<string> {
    try {
      if (this.#lacks(call)) return 'no such partition'
      return await this.#make(call)
    } catch (caught) {
      const { reason, message } = TidemarkError.from(caught)
      // What is no answer of a log tells itself.
      return reason === 'INTERNAL' ? `${reason} ${message} ${String(caught)}` : reason
    }
  }

  async #make(call: LogCall): Promise<string> {
    const { topic, settle } = this.#side
    if (this.#isGone && !WITHOUT_TOPIC.has(call.kind)) return 'no topic'
    switch (call.kind) {
      case 'append':
        return this.#append(
          call.parts.map((part) => ({
            topic,
            partition: partition(part.partition),
            records: part.records.map(toRecord),
          })),
        )
      case 'read': {
        const { from, to } = await this.#within(call)
        return this.#read(this.#open(call.partition, from), to)
      }
      case 'follow': {
        const { from, to } = await this.#within(call)
        this.#close(call.slot)
        const following = this.#open(call.partition, from)
        this.#following.set(call.slot, following)
        return this.#read(following, to, 'open')
      }
      case 'read-on': {
        const following = this.#following.get(call.slot)
        if (following === undefined) return 'nobody'
        const known = await settle(this.#log.describeTopic(topic))
        const isSame = known !== undefined && known.identity === following.identity
        const { start, end } = isSame
          ? await settle(this.#log.offsets(topic, partition(following.partition)))
          : { start: 0, end: following.position + 1 }
        // What was read ahead of the trim may come all the same (`read-ahead`).
        if (following.position < start) this.#close(call.slot)
        if (following.position < start) return 'trimmed'
        const line = await this.#read(following, end, 'open')
        // What was read ahead of the old topic may come before (`read-ahead`).
        return isSame ? line : line.slice(line.lastIndexOf(' → '))
      }
      case 'close':
        this.#close(call.slot)
        return 'closed'
      case 'offsets': {
        const { start, end } = await settle(this.#log.offsets(topic, partition(call.partition)))
        return `${start}..${end}`
      }
      case 'ends': {
        const ends = await settle(this.#log.verifiedEnds(topic, call.partitions.map(partition)))
        return call.partitions.map((one) => `${one}:${ends.get(partition(one))}`).join(' ')
      }
      case 'trim': {
        const offsets = await settle(this.#log.offsets(topic, partition(call.partition)))
        const before = place(call.before, offsets)
        await settle(this.#log.trim(topic, partition(call.partition), offset(before)))
        return `to ${before}`
      }
      case 'transaction': {
        const { records } = call.part
        // What is too large is for plain appends to try.
        const made = records.map((record) => toRecord({ ...record, bytes: Math.min(record.bytes, 1000) }))
        const at = { topic, partition: partition(call.part.partition), records: made }
        await settle(this.#side.transaction(at, call.commits))
        return call.commits ? 'committed' : 'aborted'
      }
      case 'create':
        return this.#create(call.partitions)
      case 'delete':
        await settle(this.#log.deleteTopic(topic))
        this.#isGone = true
        return 'deleted'
      case 'describe':
        return this.#shown(await settle(this.#log.describeTopic(topic)))
      case 'list': {
        const prefix = call.prefix === 'mine' ? topic : `${topic}-other`
        return (await settle(this.#log.listTopics(prefix)))
          .map((name) => name.replace(topic, 'T'))
          .sort()
          .join()
      }
      case 'elect':
        this.#side.elect(call.partition)
        return 'done'
    }
  }

  /** The topic may have been made again with fewer partitions (`no-topic`). */
  #lacks(call: LogCall): boolean {
    const count = this.#known?.partitions ?? 0
    const named = (): readonly number[] => {
      switch (call.kind) {
        case 'append':
          return call.parts.map((part) => part.partition)
        case 'transaction':
          return [call.part.partition]
        case 'ends':
          return call.partitions
        default:
          return 'partition' in call ? [call.partition] : []
      }
    }
    return named().some((one) => one >= count)
  }

  // ---- appending ----

  async #append(parts: readonly Append[]): Promise<string> {
    const told = parts.map((): Appended | TidemarkError | undefined => undefined)
    const lane = (parts[0]?.partition ?? 0) % this.#log.lanes
    const result = await this.#side
      .settle(
        this.#log.append(lane, parts, {
          part: (index, one) => (told[index] = one),
          free: () => undefined,
        }),
      )
      .then(
        (places) => places.map(({ firstOffset }) => firstOffset).join(),
        (caught: unknown) => TidemarkError.from(caught).reason,
      )
    // A log whose parts stand or fall together need tell nothing of them.
    const each = told.map((one) =>
      one === undefined ? '' : 'firstOffset' in one ? one.firstOffset : one.reason,
    )
    return `${result} (${each.join()})`
  }

  // ---- reading ----

  async #within(call: {
    readonly partition: number
    readonly from: number
  }): Promise<{ readonly from: number; readonly to: number }> {
    const offsets = await this.#side.settle(this.#log.offsets(this.#side.topic, partition(call.partition)))
    return { from: place(call.from, offsets), to: offsets.end }
  }

  #open(at: number, from: number): Following {
    const { identity, partitions } = this.#known ?? { identity: '', partitions: PARTITIONS }
    const expected = { identity, partitions }
    const reader = this.#log.read(this.#side.topic, partition(at), offset(from), expected)
    return { reader, partition: at, identity, position: from }
  }

  #close(slot: number): void {
    this.#following.get(slot)?.reader.close()
    this.#following.delete(slot)
  }

  /** Everything up to `end`, or why it cannot be read. At the end nobody waits for more. */
  async #read(following: Following, end: number, after: 'close' | 'open' = 'close'): Promise<string> {
    const { reader } = following
    const seen: string[] = []
    try {
      // Past the end, or before the start, one look tells so.
      while (following.position !== end) {
        const batch = await this.#side.settle(reader.next())
        for (const { offset: at, key, value, headers } of batch.records)
          seen.push(
            `${at}=${JSON.stringify([text(key), text(value), [...headers].map(([name, one]) => [name, text(one)])])}`,
          )
        following.position = batch.nextOffset
        if (following.position > end) break
      }
      return `${seen.join(' ')} → ${following.position}`
    } catch (caught) {
      return `${seen.join(' ')} → ${TidemarkError.from(caught).reason}`
    } finally {
      if (after === 'close') reader.close()
    }
  }

  // ---- topics ----

  async #create(partitions: number): Promise<string> {
    const { topic, settle } = this.#side
    const made = await settle(this.#log.createTopic(topic, { ...SETTINGS, partitions }))
    this.#isGone = false
    return this.#shown(made)
  }

  #shown(found: TopicDescription | undefined): string {
    if (found === undefined) return 'nothing'
    this.#known = found
    let at = this.#identities.indexOf(found.identity)
    if (at < 0) at = this.#identities.push(found.identity) - 1
    return `incarnation ${at} with ${found.partitions} partitions`
  }
}

const text = (bytes: Uint8Array | null): string | null => {
  if (bytes === null) return null
  return bytes.length > 100 ? `${bytesToText(bytes.subarray(0, 20))}…${bytes.length}` : bytesToText(bytes)
}

function toRecord({ key, value, headers, bytes }: RecordMade): NewRecord {
  const content =
    value === null || bytes === 0 ? value : (value === '' ? '.' : value).repeat(bytes).slice(0, bytes)
  return {
    key: key === null ? null : textToBytes(key),
    value: content === null ? null : textToBytes(content),
    headers: new Map(headers.map(([name, one]) => [name, textToBytes(one)])),
  }
}
