/**
 * A history as JSON lines, so that it can be written while it grows, kept, cut and checked again on another machine:
 *
 *   {"type":"keyspace","name":"default","partitions":4,"separator":""}      first
 *   {"type":"call"|"return"|"seen"|"fault", "seq":0, …}                     in order
 *   {"type":"record","partition":0,"offset":0,"time":1,"key":"a","value":"b","headers":{}}
 *   {"type":"replica","node":"n1","partition":0,"next":1,"chain":"…","rows":[…]}
 */
import { bytesToText, textToBytes } from '../core/bytes.ts'
import type { LogRecord, LogTime, Offset } from '../core/types.ts'
import type { Entry, History, KeyspaceFacts, ReplicaDump } from './history.ts'

interface RecordLine {
  readonly type: 'record'
  readonly partition: number
  readonly offset: number
  readonly time: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string>>
}

type Line =
  | ({ readonly type: 'keyspace' } & KeyspaceFacts)
  | Entry
  | RecordLine
  | ({ readonly type: 'replica' } & ReplicaDump)

export const keyspaceLine = (keyspace: KeyspaceFacts): string =>
  JSON.stringify({ type: 'keyspace', ...keyspace })
export const entryLine = (entry: Entry): string => JSON.stringify(entry)
export const replicaLine = (dump: ReplicaDump): string => JSON.stringify({ type: 'replica', ...dump })
export function recordLine(partition: number, { offset, time, key, value, headers }: LogRecord): string {
  const line: RecordLine = {
    type: 'record',
    partition,
    offset,
    time,
    key: key === null ? null : bytesToText(key),
    value: value === null ? null : bytesToText(value),
    headers: Object.fromEntries([...headers].map(([name, bytes]) => [name, bytesToText(bytes)])),
  }
  return JSON.stringify(line)
}

export function* historyLines({ keyspace, entries, log, replicas }: History): Iterable<string> {
  yield keyspaceLine(keyspace)
  for (const entry of entries) yield entryLine(entry)
  for (const [partition, records] of log.entries())
    for (const record of records) yield recordLine(partition, record)
  for (const dump of replicas) yield replicaLine(dump)
}

/** @throws Error with the number of the line that is wrong: the first lacks, a type is unknown, or an order does not rise */
export function parseHistory(lines: Iterable<string>): History {
  let keyspace: KeyspaceFacts | undefined
  const entries: Entry[] = []
  const log: LogRecord[][] = []
  const replicas: ReplicaDump[] = []
  let number = 0
  for (const text of lines) {
    number += 1
    if (text === '') continue
    const line = JSON.parse(text) as Line
    const wrong = (why: string): Error => new Error(`line ${number} of the history: ${why}`)
    if (line.type === 'keyspace') {
      if (keyspace !== undefined) throw wrong('a second keyspace')
      const { name, partitions, separator } = line
      keyspace = { name, partitions, separator }
      for (let partition = 0; partition < partitions; partition++) log.push([])
      continue
    }
    if (keyspace === undefined) throw wrong('the first line must tell the keyspace')
    switch (line.type) {
      case 'call':
      case 'return':
      case 'seen':
      case 'fault': {
        const before = entries.at(-1)
        if (before !== undefined && before.seq >= line.seq) throw wrong('the order does not rise')
        entries.push(line)
        break
      }
      case 'record': {
        const records = log[line.partition]
        if (records === undefined) throw wrong(`there is no partition ${line.partition}`)
        const last = records.at(-1)
        if (last !== undefined && last.offset >= line.offset) throw wrong('the offset does not rise')
        records.push(toRecord(line))
        break
      }
      case 'replica': {
        const { node, partition, next, chain, rows } = line
        replicas.push({ node, partition, next, chain, rows })
        break
      }
      default:
        throw wrong('its type is unknown')
    }
  }
  if (keyspace === undefined) throw new Error('the history is empty')
  return { keyspace, entries, log, replicas }
}

const toRecord = ({ offset, time, key, value, headers }: RecordLine): LogRecord => ({
  offset: offset as Offset,
  time: time as LogTime,
  key: key === null ? null : textToBytes(key),
  value: value === null ? null : textToBytes(value),
  headers: new Map(Object.entries(headers).map(([name, bytes]) => [name, textToBytes(bytes)])),
})
