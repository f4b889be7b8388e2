/** The table of a V8 profile: where the time of the thread went, by function, its own time and that with what it calls. */
import { tableText } from '../../services/cli/output.ts'

/** What of V8's `.cpuprofile` is read here. */
export interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[]
}

export interface HotSpot {
  readonly name: string
  /** Microseconds. */
  readonly self: number
  readonly total: number
}

const IDLE = new Set(['(idle)', '(root)', '(program)'])

export function hotSpots({ nodes, samples, timeDeltas }: Profile): readonly HotSpot[] {
  const parents = new Map<number, number>()
  const names = new Map<number, string>()
  for (const { id, callFrame, children } of nodes) {
    const place = callFrame.url === '' ? '' : ` ${shortened(callFrame.url)}:${callFrame.lineNumber + 1}`
    names.set(id, `${callFrame.functionName || '(anonymous)'}${place}`)
    for (const child of children ?? []) parents.set(child, id)
  }
  const spots = new Map<string, { self: number; total: number }>()
  samples.forEach((sample, index) => {
    const micros = timeDeltas[index] ?? 0
    const seen = new Set<string>()
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) {
      const name = names.get(id) ?? ''
      const spot = spots.get(name) ?? { self: 0, total: 0 }
      spots.set(name, spot)
      if (id === sample) spot.self += micros
      if (!seen.has(name)) spot.total += micros
      seen.add(name)
    }
  })
  return [...spots]
    .map(([name, spot]) => ({ name, ...spot }))
    .filter(({ name }) => !IDLE.has(name))
    .sort((one, other) => other.self - one.self)
}

/** The last two parts of the path say enough. */
const shortened = (url: string): string => url.split('/').slice(-2).join('/')

/** @param operations - that the time is divided by */
export function hotSpotsTable(spots: readonly HotSpot[], operations: number, rows: number): string {
  const cells = spots
    .slice(0, rows)
    .map(({ name, self, total }) => [(self / operations).toFixed(2), (total / operations).toFixed(2), name])
  return tableText(['SELF', 'TOTAL', 'FUNCTION (µs for one operation)'], cells)
}
