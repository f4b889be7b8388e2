/**
 * A barrier with a name in one partition: a place in its log before which everything lies that was acknowledged earlier, and which
 * everybody who asks for the same name gets. In the log it is a transaction of nothing with a request id. So the record format has had
 * it from the beginning, any producer can write it, and the first record of a name decides, as with all request ids.
 */
import { TidemarkError } from './core/errors.ts'
import type { Outcome, TransactionMutation } from './core/mutation.ts'
import { recall } from './core/session.ts'
import { splitRequestId } from './core/text.ts'
import type { Offset } from './core/types.ts'
import type { Barrier } from './face.ts'
import { loadSession } from './replica/load.ts'
import { HistoryReader } from './replica/read.ts'
import type { Replica } from './replica/replica.ts'
import type { Writer, Written } from './replica/writer.ts'

const nothing = (requestId: string): TransactionMutation => ({
  kind: 'txn',
  requestId,
  compares: [],
  thenChanges: [],
  elseChanges: [],
})

/** Resolves when it has been applied here. */
export function appendBarrier(
  writer: Writer,
  replica: Replica,
  requestId: string,
  deadline: number,
): Promise<Barrier> {
  return writer.write(
    replica,
    nothing(requestId),
    'applied',
    deadline,
    (from, { offset, outcome }: Written) => barrierOf(from, outcome, offset),
  )
}

/** Undefined where no record with this request id is remembered. */
export function findBarrier(replica: Replica, requestId: string): Barrier | undefined {
  const { session, sequence } = splitRequestId(requestId)
  const known = loadSession(replica, session)
  const outcome = known === undefined ? 'new' : recall(known, sequence)
  if (outcome === 'new' || outcome === 'forgotten') return undefined
  return barrierOf(replica, outcome, outcome.offset)
}

function barrierOf(replica: Replica, outcome: Outcome | undefined, at: Offset): Barrier {
  if (outcome?.status !== 'applied')
    throw new TidemarkError(
      outcome?.reason ?? 'INTERNAL',
      'the request id of the barrier was used before: choose another one',
    )
  const { offset, duplicate } = outcome
  const time =
    offset < replica.state.historyStart ? undefined : new HistoryReader(replica).recordAt(offset)?.time
  return { partition: replica.state.partition, offset, at, time, repeated: duplicate }
}
