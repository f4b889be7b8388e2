/** The name that was probably meant: fewest letters changed, left out, added or swapped (Damerau-Levenshtein). */

/** @returns undefined where none is close: more than a third of the letters differ */
export function nearest(wrong: string, names: readonly string[]): string | undefined {
  const [best] = names
    .map((name) => ({ name, distance: distance(wrong, name) }))
    .sort((left, right) => left.distance - right.distance)
  return best !== undefined && best.distance <= wrong.length / 3 ? best.name : undefined
}

function distance(left: string, right: string): number {
  const rows: number[][] = [Array.from({ length: right.length + 1 }, (_, index) => index)]
  const at = (row: number, column: number): number => rows[row]?.[column] ?? Infinity
  for (let i = 1; i <= left.length; i++) {
    rows[i] = [i]
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1] ? 0 : 1
      const swapped = left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]
      const swap = swapped ? at(i - 2, j - 2) + 1 : Infinity
      rows[i]?.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + same, swap))
    }
  }
  return at(left.length, right.length)
}
