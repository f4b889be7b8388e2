/**
 * Sessions: read your writes, monotonic reads. A read with `session` (a linearizable one too) stands at or after everything that its token
 * names; where the client keeps its token itself, at or after everything that it was told before.
 */
import type { At } from '../history.ts'
import { entriesOf, nameOf, placeOf } from './evidence.ts'
import type { Checker, Evidence, Operation, Violation } from './evidence.ts'
import { claimsOf, earliestShowing, readOf } from './reading.ts'

export const session: Checker = ({ history, truth, byNumber }: Evidence) => {
  const found: Violation[] = []
  /** Of each client, by partition. */
  const told = new Map<string, Map<number, { offset: number; by: Operation }>>()
  const bounds = new Map<number, readonly (At & { readonly by?: Operation })[]>()

  const tell = (client: string, partition: number, offset: number, by: Operation): void => {
    let seen = told.get(client)
    if (seen === undefined) told.set(client, (seen = new Map<number, { offset: number; by: Operation }>()))
    if (offset > (seen.get(partition)?.offset ?? -1)) seen.set(partition, { offset, by })
  }

  for (const entry of history.entries) {
    if (entry.type === 'call' && 'consistency' in entry.call && entry.call.consistency !== 'eventual') {
      const { token } = entry.call
      const own = token === 'own' ? [...(told.get(entry.client) ?? [])] : []
      bounds.set(entry.op, token === 'own' ? own.map(([partition, seen]) => ({ partition, ...seen })) : token)
    }
    if (entry.type !== 'return') continue
    const operation = byNumber.get(entry.op)
    if (operation === undefined) continue
    const { client } = operation.call
    const placed = placeOf(operation)
    if (placed !== undefined) tell(client, placed.partition, placed.offset, operation)
    const reading = readOf(operation, truth)
    if (reading === undefined) continue
    const isPast = reading.call.kind === 'get' && reading.call.at !== undefined
    for (const place of reading.partitions) {
      const bound = bounds.get(entry.op)?.find(({ partition }) => partition === place.partition)
      const least = bound?.offset ?? -1
      if (place.applied === undefined && isPast) continue
      const stands =
        place.applied ??
        earliestShowing(
          truth.of(place.partition),
          claimsOf(truth, reading, place),
          reading.call.consistency === 'eventual' ? -1 : least,
          reading.keysOnly,
        )
      if (bound !== undefined && (stands === undefined || stands < least))
        found.push({
          checker: 'session',
          message:
            `${nameOf(operation)} shows ${place.partition}:${stands ?? 'nothing that fits'}, though ` +
            (bound.by === undefined ? 'its token names' : `its client had been told by ${nameOf(bound.by)}`) +
            ` ${place.partition}:${least}`,
          entries: [...(bound.by === undefined ? [] : entriesOf(bound.by)), ...entriesOf(operation)],
        })
      if (stands !== undefined) tell(client, place.partition, stands, operation)
    }
    bounds.delete(entry.op)
  }
  return found
}
