/** Transcripts of apply: a record, and then on one line its verdicts and its changes, in order. */
import { encodeBarrier, encodeFormat, encodeMutation, encodeTick } from '../encode.ts'
import { PackWriter } from '../messages.ts'
import type { RawFormat } from '../control-messages.ts'
import type { Compare, CompareOperator, RowMutation, TransactionChange } from '../mutation.ts'
import type { Epoch, NewRecord, Offset } from '../types.ts'
import { CoreDriver, show } from './core-driver.ts'
import { draft, logged } from './records.ts'
import { expect } from 'chai'

export type Line = readonly [
  record: NewRecord | { readonly time: number; readonly record: NewRecord },
  shown: string,
]

export const at = (
  time: number,
  record: NewRecord,
): { readonly time: number; readonly record: NewRecord } => ({
  time,
  record,
})

export function play(lines: readonly Line[], driver = new CoreDriver()): CoreDriver {
  let time = 0
  lines.forEach(([step, shown], index) => {
    const record = 'record' in step ? step.record : step
    if ('time' in step) ({ time } = step)
    const { effects, stop } = driver.run([logged(driver.state.next, time, record)])
    const found = stop === undefined ? effects.map(show).join() : `STOP: format ${stop.version}`
    expect(found, `line ${index}`).to.equal(shown)
  })
  return driver
}
export const transcript = (
  name: string,
  lines: readonly Line[],
  after?: (driver: CoreDriver) => void,
): void => {
  it(name, () => {
    const driver = play(lines)
    after?.(driver)
  })
}

export const put = (key: string, value: string, headers: Record<string, string> = {}): NewRecord =>
  draft(key, value, headers)
export const putFor = (ttl: number, key: string, value: string): NewRecord =>
  draft(key, value, { 'tm-ttl-ms': String(ttl) })
export const putIf = (version: number, key: string, value: string): NewRecord =>
  draft(key, value, { 'tm-if-version': String(version) })
export const remove = (key: string, headers: Record<string, string> = {}): NewRecord =>
  draft(key, null, headers)
export const add = (key: string, delta: string, headers: Record<string, string> = {}): NewRecord =>
  draft(key, delta, { 'tm-op': 'increment', ...headers })
export const byId = (id: string): Record<string, string> => ({ 'tm-request-id': id })
export const barrier = encodeBarrier()

export const bytes = (text: string): Buffer => Buffer.from(text)
export const mutation = {
  put: (key: string, value: string, more: object = {}): RowMutation => ({
    kind: 'put',
    key: bytes(key),
    value: bytes(value),
    ...more,
  }),
  remove: (key: string, more: object = {}): RowMutation => ({ kind: 'delete', key: bytes(key), ...more }),
  add: (key: string, delta: bigint, more: object = {}): RowMutation => ({
    kind: 'increment',
    key: bytes(key),
    delta,
    ...more,
  }),
}
export function pack(mutations: readonly RowMutation[], headers: Record<string, string> = {}): NewRecord {
  const writer = new PackWriter()
  for (const one of mutations) writer.add(one)
  return draft(null, writer.finish(), { 'tm-op': 'pack', ...headers })
}
export const version = (key: string, operator: CompareOperator, wanted: number): Compare => ({
  key: bytes(key),
  operator,
  target: 'version',
  version: wanted as Offset,
})
export const value = (key: string, operator: CompareOperator, wanted: string): Compare => ({
  key: bytes(key),
  operator,
  target: 'value',
  value: bytes(wanted),
})
export const txn = (
  compares: readonly Compare[],
  thenChanges: readonly TransactionChange[],
  elseChanges: readonly TransactionChange[] = [],
  requestId?: string,
): NewRecord =>
  encodeMutation({
    kind: 'txn',
    compares,
    thenChanges,
    elseChanges,
    ...(requestId === undefined ? {} : { requestId }),
  })
export const change = {
  put: (key: string, to: string, more: object = {}): TransactionChange => ({
    kind: 'put',
    key: bytes(key),
    value: bytes(to),
    ...more,
  }),
  remove: (key: string): TransactionChange => ({ kind: 'delete', key: bytes(key) }),
  add: (key: string, delta: bigint, more: object = {}): TransactionChange => ({
    kind: 'increment',
    key: bytes(key),
    delta,
    ...more,
  }),
}
export const format = (
  more: Partial<Omit<RawFormat, 'separator'>> & { readonly separator?: string },
  epoch?: number,
): NewRecord =>
  encodeFormat({ version: 1, ...more, separator: bytes(more.separator ?? '') }, epoch as Epoch | undefined)
export const tick = (epoch: number): NewRecord => encodeTick(epoch as Epoch)

export const MAX = '9223372036854775807'
export const MIN = '-9223372036854775808'
