/**
 * The TypeScript client of Tidemark.
 *
 *   import { connect } from 'tidemark'
 *
 *   const db = connect()                                   // 127.0.0.1:7400
 *   await db.put('greeting', 'hello', { ttlMs: 60_000 })
 *   const row = await db.get('greeting')                   // Row | undefined
 *   row?.text()                                            // 'hello'
 *   await db.put('greeting', 'hi', { ifVersion: row?.version ?? 0 })   // throws VERSION_MISMATCH if someone was faster
 *   for await (const row of db.scan({ prefix: 'user:' })) …
 *   for await (const event of db.watch({ prefix: 'user:' })) …         // resumes by itself
 *   await db.close()
 *
 * - Single calls batch themselves: start many without awaiting each (`Promise.all`) and they share frames and group commits.
 * - Everything fails with one class, `TidemarkError`, whose `reason` is one of a closed catalogue.
 * - `connect({ server: 'a:7400,b:7400' })` finds the other nodes of the cluster, and each operation goes straight to one that
 *   serves its partition. When a node dies, others take over what it had not answered.
 * - Failures that a retry can mend are retried until the deadline. A write keeps its request id through all retries, on other
 *   nodes too, so it is applied at most once; if the deadline passes first, the error says that its outcome is unknown.
 * - Reads see every acknowledged write (`linearizable`) unless `consistency` says otherwise. What the client has seen is
 *   kept in its session token: see `token` and `observe`.
 */
export type { Bytes } from './bytes.ts'
export type { Position } from './session-token.ts'
export type { Condition, Is, Step, Transaction } from './transaction.ts'
export type { CatalogueRow, GrpcCode, Reason } from '../../streams/core/errors.ts'
export { CATALOGUE, TidemarkError } from '../../streams/core/errors.ts'
export { connect } from './connect.ts'
export { Row } from './row.ts'
export type * from './cluster-types.ts'
export type * from './types.ts'
