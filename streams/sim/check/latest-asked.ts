/** The first record of a partition that can only have been written after a moment of the history: its call came later. */
import { indexIn, placeOf, wantedOfCall } from './evidence.ts'
import type { Evidence } from './evidence.ts'
import { countWhile } from './truth.ts'

/** @returns by partition and `seq`: the offset, Infinity where there is none */
export function latestAsked({ truth, operations }: Evidence): (partition: number, seq: number) => number {
  const placed: { readonly seq: number; readonly offset: number }[][] = truth.partitions.map(() => [])
  const asked = new Set<string>()
  for (const operation of operations) {
    const wanted = wantedOfCall(operation.call.call) ?? []
    const again = wanted.some(({ requestId }) => requestId !== undefined && asked.has(requestId))
    for (const { requestId } of wanted) if (requestId !== undefined) asked.add(requestId)
    const place = placeOf(operation)
    // What was sent before may stand in the log from then.
    if (place === undefined || again) continue
    const told = truth.of(place.partition).record(place.offset)
    if (told === undefined || wanted.some((one) => indexIn(told, one) < 0)) continue
    placed[place.partition]?.push({ seq: operation.call.seq, offset: place.offset })
  }
  // Calls stand in their order already; from the last to the first, the least offset of all that come later.
  const least = placed.map((places) => {
    let smallest = Infinity
    return places.toReversed().map(({ seq, offset }) => {
      smallest = Math.min(smallest, offset)
      return { seq, offset: smallest }
    })
  })
  return (partition, seq) => {
    const places = least[partition] ?? []
    const later = countWhile(places, (place) => place.seq > seq)
    return places[later - 1]?.offset ?? Infinity
  }
}
