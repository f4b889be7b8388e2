/** Draws numbers of 0 to count-1 of which few come often: Zipf with an exponent below 1, as YCSB draws (Gray et al., 1994). */
export function zipf(
  count: number,
  exponent: number,
  random: () => number = () => Math.random(),
): () => number {
  let zeta = 0
  for (let rank = 1; rank <= count; rank += 1) zeta += rank ** -exponent
  const two = 1 + 0.5 ** exponent
  const eta = (1 - (2 / count) ** (1 - exponent)) / (1 - two / zeta)
  return () => {
    const uniform = random()
    if (uniform * zeta < 1) return 0
    if (uniform * zeta < two) return Math.min(1, count - 1)
    const rank = Math.floor(count * (eta * uniform - eta + 1) ** (1 / (1 - exponent)))
    // Frequent ones are spread over the keys, and with them over the partitions.
    return (Math.min(rank, count - 1) * SPREAD) % count
  }
}

/** Knuth's multiplier. */
const SPREAD = 2_654_435_761
