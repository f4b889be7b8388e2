/**
 * Scan: rows of all partitions in key order, in messages of about SCAN_MESSAGE_BYTES. The first and the last message have the
 * token; a message is held back until it is known whether another follows.
 */
import type { Row as RowMessage } from '../../proto/generated/tidemark/v1/types.ts'
import {
  KeyValueServiceService as methods,
  type ScanRequest,
  type ScanResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { SCAN_MESSAGE_BYTES } from '../../streams/core/limits.ts'
import type { Row } from '../../streams/core/mutation.ts'
import { partition } from '../../streams/core/types.ts'
import type { Keyspace, ScanOptions } from '../../streams/face.ts'
import {
  type HandlerOf,
  type Serving,
  type Streaming,
  deadlineOf,
  nodeFor,
  serverStreaming,
  writable,
} from './calls.ts'
import type { keyValueDefinition } from './definitions.ts'
import { rowMessage, tokenMessage } from './messages.ts'
import { intersection, rangeOf, rangeOfPrefix } from './range.ts'
import { checkConsistency, checkToken, keyspaceName } from './validate.ts'

export function keyValueScan(serving: Serving): HandlerOf<typeof keyValueDefinition.scan> {
  const { nodeId } = serving.node.description

  const scan: Streaming<ScanRequest, ScanResponse> = async (request, call) => {
    const keyspace = nodeFor(serving, call).keyspace(keyspaceName(request.keyspace))
    const opened = await keyspace.scan(optionsOf(request, deadlineOf(call)))
    const leave = (): void => void opened.rows.return?.().catch(serving.bug)
    call.on('cancelled', leave)
    try {
      const token = tokenMessage(opened.token.logIdentity, opened.token.positions)
      let first = true
      let held: RowMessage[] = []
      let bytes = 0
      const send = async (last: boolean): Promise<void> => {
        const message = { rows: held, token: first || last ? token : undefined, nodeId: first ? nodeId : '' }
        first = false
        held = []
        bytes = 0
        if (!call.write(message) && !last) await writable(call)
      }
      for await (const rows of opened.rows) {
        for (const row of rows) {
          if (bytes >= SCAN_MESSAGE_BYTES) await send(false)
          if (call.cancelled) return
          held.push(scanned(keyspace, row, request.keysOnly))
          bytes += row.key.length + row.value.length
        }
      }
      if (!call.cancelled) await send(true)
    } finally {
      await opened.rows.return?.()
    }
  }
  return serverStreaming(serving, methods.scan, scan)
}

const EMPTY = Buffer.alloc(0)

/** The row; a scan of keys leaves values out even where the store had them at hand. */
function scanned(keyspace: Keyspace, row: Row, keysOnly: boolean): RowMessage {
  const message = rowMessage(row, keyspace.partitionOf(row.key))
  return keysOnly ? { ...message, value: EMPTY } : message
}

function optionsOf(request: ScanRequest, deadline: number): ScanOptions {
  return {
    range: intersection(rangeOfPrefix(request.prefix), rangeOf(request.start, request.end)),
    reverse: request.reverse,
    keysOnly: request.keysOnly,
    limit: request.limit === 0 ? undefined : request.limit,
    partitions: request.partitions.length === 0 ? undefined : [...new Set(request.partitions)].map(partition),
    consistency: checkConsistency(request.consistency),
    token: checkToken(request.token),
    deadline,
    asOf: checkToken(request.asOf, 'as_of'),
  }
}
