/** Mutation → record, as proto/record.md has it; the counterpart of decode.ts. */
import { PROOF, writeFormat, writeLead, writeMark } from './control-messages.ts'
import type { Checkpoint, NewFormat } from './control-messages.ts'
import { writeTransaction } from './messages.ts'
import type { Mutation, RowMutation } from './mutation.ts'
import { unreachable } from './assert.ts'
import type { Epoch, NewRecord } from './types.ts'

const text = (value: string): Buffer => Buffer.from(value, 'utf8')

const OPERATION = {
  delete: text('delete'),
  increment: text('increment'),
  txn: text('txn'),
  pack: text('pack'),
  barrier: text('barrier'),
  lead: text('lead'),
  tick: text('tick'),
  mark: text('mark'),
  format: text('format'),
} as const

/** A mutation as a record of its own. A plain put or delete has no header at all, so that any consumer can read it. */
export function encodeMutation(mutation: Mutation): NewRecord {
  switch (mutation.kind) {
    case 'put':
      return { key: mutation.key, value: mutation.value, headers: rowHeaders(mutation) }
    case 'delete':
      return { key: mutation.key, value: null, headers: rowHeaders(mutation) }
    case 'increment': {
      const headers = rowHeaders(mutation).set('tm-op', OPERATION.increment)
      return { key: mutation.key, value: Buffer.from(mutation.delta.toString(), 'latin1'), headers }
    }
    case 'txn': {
      const headers = new Map<string, Uint8Array>([['tm-op', OPERATION.txn]])
      identify(headers, mutation.requestId, mutation.traceparent)
      return { key: null, value: writeTransaction(mutation), headers }
    }
    default:
      return unreachable(mutation)
  }
}

function rowHeaders(mutation: RowMutation): Map<string, Uint8Array> {
  const headers = new Map<string, Uint8Array>()
  if (mutation.ifVersion !== undefined) headers.set('tm-if-version', text(String(mutation.ifVersion)))
  if (mutation.kind !== 'delete' && mutation.ttlMs !== undefined)
    headers.set('tm-ttl-ms', text(String(mutation.ttlMs)))
  if (mutation.kind === 'put' && mutation.contentType !== undefined && mutation.contentType !== '')
    headers.set('content-type', text(mutation.contentType))
  identify(headers, mutation.requestId, mutation.traceparent)
  return headers
}

function identify(headers: Map<string, Uint8Array>, requestId?: string, traceparent?: string): void {
  if (requestId !== undefined) headers.set('tm-request-id', text(requestId))
  if (traceparent !== undefined) headers.set('traceparent', text(traceparent))
}

/** `value` comes from a PackWriter. */
export const encodePack = (value: Buffer, requestId: string): NewRecord => ({
  key: null,
  value,
  headers: new Map([
    ['tm-op', OPERATION.pack],
    ['tm-request-id', text(requestId)],
  ]),
})

export const encodeLead = (nodeId: string, incarnation: string): NewRecord => ({
  key: null,
  value: writeLead(nodeId, incarnation),
  headers: new Map([['tm-op', OPERATION.lead]]),
})

export const encodeTick = (epoch: Epoch): NewRecord => ({
  key: null,
  value: null,
  headers: new Map([
    ['tm-op', OPERATION.tick],
    ['tm-epoch', text(String(epoch))],
  ]),
})

export const encodeMark = (checkpoint: Checkpoint, epoch: Epoch): NewRecord => ({
  key: null,
  value: writeMark(checkpoint),
  headers: new Map([
    ['tm-op', OPERATION.mark],
    ['tm-epoch', text(String(epoch))],
  ]),
})

export const encodeBarrier = (): NewRecord => ({
  key: null,
  value: null,
  headers: new Map([['tm-op', OPERATION.barrier]]),
})

/** A barrier at which all replicas hash what they hold. */
export const encodeProof = (): NewRecord => ({ ...encodeBarrier(), value: PROOF })

export const encodeFormat = (format: NewFormat, epoch?: Epoch): NewRecord => ({
  key: null,
  value: writeFormat(format),
  headers: new Map([
    ['tm-op', OPERATION.format],
    ...(epoch === undefined ? [] : [['tm-epoch', text(String(epoch))] as const]),
  ]),
})
