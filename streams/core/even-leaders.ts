/**
 * Even leadership with few moves: each partition to one of the nodes that may lead it, so that no node leads two more than another to
 * which it could pass one on, directly or in a chain (A passes p to B, B passes q to C). That is an optimal semi-matching: a
 * distribution without such a chain has the least sum of squares there is (Harvey, Ladner, Lovász, Tamir, "Semi-matchings for bipartite
 * graphs and load balancing", 2006). So where all may lead all, counts differ by at most one.
 *
 * Partitions that nobody leads are given out first and moved among nodes before any that is led. For a caller that takes away in one
 * step and gives in the next: given the same nodes, the second step finds an even distribution without taking more.
 */

import { must } from './assert.ts'

/** Over any difference within a group. */
const COST_OF_MOVE = 1e6

/** A partition; nodes are numbers from 0. */
export interface Lead {
  /** Nodes that may take it; at least one. */
  readonly options: readonly number[]
  /** The node that leads it and may keep it, an option or not. */
  readonly current: number | undefined
  /** Partitions of one group (a topic) are spread over the nodes where that costs nothing. */
  readonly group: number
}

/** @param base what each node leads beside these @returns a node for each of `leads` */
export function evenLeaders(leads: readonly Lead[], base: readonly number[]): number[] {
  const spread = new Spread(leads, base)
  const all = leads.map((_, at) => at)
  const free = all.filter((at) => leads[at]?.current === undefined)
  const choice = (at: number): number => leads[at]?.options.length ?? 0
  for (const at of [...free].sort((a, b) => choice(a) - choice(b) || a - b)) spread.give(at)
  spread.even(free)
  spread.even(all)
  return spread.leaders
}

class Spread {
  /** Node of each lead; -1 while it has none. */
  readonly leaders: number[]
  readonly #leads: readonly Lead[]
  readonly #loads: number[]
  /** How much of each group each node leads. */
  readonly #groupLoads = new Map<number, number>()
  /** Leads that a node could pass on to another, by giver and then taker. */
  #steps: Set<number>[][] = []
  #movable: ReadonlySet<number> = new Set()

  constructor(leads: readonly Lead[], base: readonly number[]) {
    this.#leads = leads
    this.#loads = [...base]
    this.leaders = leads.map(() => -1)
    leads.forEach(({ current }, at) => {
      if (current !== undefined) this.#move(at, current)
    })
  }

  /** To the option that leads least, and least of the group where that is equal; the first of equals. */
  give(at: number): void {
    const { options, group } = this.#lead(at)
    const [first, ...others] = options
    let best = must(first, 'an option')
    for (const node of others) {
      const more = this.#load(node) - this.#load(best)
      if (more < 0 || (more === 0 && this.#groupLoad(group, node) < this.#groupLoad(group, best))) best = node
    }
    this.#move(at, best)
  }

  /** Passes on some of `movable` until no chain is left. Ends: each one makes the sum of squares smaller. */
  even(movable: readonly number[]): void {
    // The usual case, and cheap: nothing is left to do.
    if (Math.max(...this.#loads) - Math.min(...this.#loads) < 2) return
    this.#movable = new Set(movable)
    this.#steps = this.#loads.map(() => this.#loads.map(() => new Set<number>()))
    for (const at of movable) this.#open(at, this.#leader(at))
    for (let chain = this.#chain(); chain !== undefined; chain = this.#chain()) {
      // From its end, so that no lead is passed on twice.
      for (let at = chain.length - 1; at > 0; at--) {
        const giver = must(chain[at - 1], 'a giver')
        const taker = must(chain[at], 'a taker')
        this.#move(this.#cheapest(giver, taker), taker)
      }
    }
  }

  /** The shortest way from a node that leads much to the one that leads least of those that it can reach. */
  #chain(): number[] | undefined {
    const byLoad = this.#loads.map((_, node) => node).sort((a, b) => this.#load(b) - this.#load(a) || a - b)
    const least = Math.min(...this.#loads)
    for (const from of byLoad) {
      if (this.#load(from) - least < 2) return undefined
      const before = new Map([[from, -1]])
      let best = from
      // A Map hands out what is added while it is walked: a breadth-first search.
      for (const node of before.keys()) {
        if (this.#load(node) < this.#load(best)) best = node
        this.#steps[node]?.forEach((leads, taker) => {
          if (leads.size > 0 && !before.has(taker)) before.set(taker, node)
        })
      }
      if (this.#load(from) - this.#load(best) < 2) continue
      const chain: number[] = []
      for (let node = best; node >= 0; node = before.get(node) ?? -1) chain.unshift(node)
      return chain
    }
    return undefined
  }

  /** What costs the least to pass on: back to whom it is from, then what has moved already, then of the group that is most uneven. */
  #cheapest(giver: number, taker: number): number {
    let best = -1
    let bestCost = Infinity
    for (const at of must(this.#steps[giver]?.[taker], 'a step')) {
      const { current, group } = this.#lead(at)
      const moves = current === taker ? 0 : current !== giver ? 1 : 2
      const skew = this.#groupLoad(group, giver) - this.#groupLoad(group, taker)
      const cost = moves * COST_OF_MOVE - skew
      if (cost < bestCost || (cost === bestCost && at < best)) [best, bestCost] = [at, cost]
    }
    return best
  }

  #move(at: number, to: number): void {
    const from = this.#leader(at)
    const { group } = this.#lead(at)
    if (from >= 0) this.#count(group, from, -1)
    this.#count(group, to, 1)
    this.leaders[at] = to
    if (!this.#movable.has(at)) return
    for (const leads of this.#steps[from] ?? []) leads.delete(at)
    this.#open(at, to)
  }

  #open(at: number, leader: number): void {
    for (const node of this.#lead(at).options) if (node !== leader) this.#steps[leader]?.[node]?.add(at)
  }

  #count(group: number, node: number, by: number): void {
    this.#loads[node] = this.#load(node) + by
    this.#groupLoads.set(group * this.#loads.length + node, this.#groupLoad(group, node) + by)
  }

  #lead(at: number): Lead {
    return must(this.#leads[at], 'a lead')
  }

  #leader(at: number): number {
    return must(this.leaders[at], 'a place')
  }

  #load(node: number): number {
    return must(this.#loads[node], 'a node')
  }

  #groupLoad(group: number, node: number): number {
    return this.#groupLoads.get(group * this.#loads.length + node) ?? 0
  }
}
