/**
 * What clients do while something is done to the cluster. Each workload has a keyspace of its own, so that its history begins with the
 * first record of a log. A loop is one client that makes one call after the other and chooses by its own random numbers.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CreateKeyspaceOptions } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { partitionOf } from '../../streams/core/partitioner.ts'
import type { Prng } from '../../streams/core/testing/prng.ts'
import type { RecordedClient } from './recorded-client.ts'

export interface Workload {
  readonly name: string
  readonly about: string
  readonly settings?: CreateKeyspaceOptions
  /** Clients that do nothing but watch. */
  readonly watchers: number
  /** Before the load. */
  prepare?(client: RecordedClient): Promise<void>
  /** One call, or a few that belong together. */
  turn(client: RecordedClient, random: Prng): Promise<void>
  /** After the load, from a healed cluster: rows that a lost write would show in. */
  readonly keys: readonly string[]
}

/** Of each keyspace. Every partition has its share of every workload's keys, so that one that stands still is seen. */
export const PARTITIONS = 4

/** So many names for each partition. */
function names(prefix: string, each: number): string[] {
  const found = Array.from({ length: PARTITIONS }, (): string[] => [])
  for (let number = 0; found.some((some) => some.length < each); number += 1) {
    const name = `${prefix}-${number}`
    const some = must(found[partitionOf(Buffer.from(name), PARTITIONS, { kind: 'key' })], 'a partition')
    if (some.length < each) some.push(name)
  }
  return found.flat()
}

const accountsOf = (bank: string): string[] => ['a', 'b', 'c', 'd'].map((account) => `${bank}:${account}`)

const REGISTERS = names('register', 6)
const COUNTERS = names('counter', 3)
const LEASES = names('lease', 6)
/** Placed by the part before the colon, as the whole of it. */
const BANKS = names('bank', 2)
const ACCOUNTS = BANKS.flatMap(accountsOf)
const OPENING_BALANCE = 100

const pick = <T>(random: Prng, list: readonly T[]): T => must(list[random.below(list.length)], 'an element')

function shuffled<T>(random: Prng, list: readonly T[]): T[] {
  const left = [...list]
  return list.map(() => must(left.splice(random.below(left.length), 1)[0], 'an element'))
}

/** No two writes of a run have the same value, so a value that is read tells its write. */
const freshValue = (client: RecordedClient, random: Prng): string =>
  `${client.name}.${random.next().toString(36)}`

const registers: Workload = {
  name: 'registers',
  about: 'puts, deletes, compare-and-set; reads with the strongest promise and with the session’s',
  watchers: 0,
  keys: REGISTERS,
  async turn(client, random) {
    const key = pick(random, REGISTERS)
    const dice = random.below(100)
    if (dice < 40) return client.put(key, freshValue(client, random))
    if (dice < 45) return client.delete(key)
    if (dice < 55) {
      const row = await client.get(key, 'session')
      return client.put(key, freshValue(client, random), { ifVersion: row?.version ?? 0 })
    }
    if (dice < 60) return client.getMany([key, pick(random, REGISTERS), pick(random, REGISTERS)])
    await client.get(key, dice < 85 ? 'linearizable' : 'session')
  },
}

const counters: Workload = {
  name: 'counters',
  about: 'increments, which a retry must not count twice, and reads of them',
  watchers: 0,
  keys: COUNTERS,
  async turn(client, random) {
    const key = pick(random, COUNTERS)
    const dice = random.below(100)
    if (dice < 70) return client.increment(key, 1 + random.below(3))
    await client.get(key, dice < 90 ? 'linearizable' : 'session')
  },
}

const transfers: Workload = {
  name: 'transfers',
  about: 'transactions over two rows that keep their sum, and watches that must see each change once',
  settings: { partitionByPrefix: ':' },
  watchers: 2,
  keys: ACCOUNTS,
  async prepare(client) {
    for (const key of ACCOUNTS) await client.put(key, String(OPENING_BALANCE))
  },
  async turn(client, random) {
    const bank = pick(random, BANKS)
    const [from, to] = shuffled(random, accountsOf(bank))
    const rows = [await client.get(must(from, 'an account'), 'session')]
    rows.push(await client.get(must(to, 'another'), random.below(2) === 0 ? 'session' : 'linearizable'))
    const [source, target] = rows
    if (source !== undefined && target !== undefined)
      await client.transfer({ from: source, to: target, amount: 1 + random.below(5) })
  },
}

const leases: Workload = {
  name: 'leases',
  about: 'rows with a time to live that are renewed or let go, and watches that see them end',
  watchers: 2,
  keys: LEASES,
  async turn(client, random) {
    const key = pick(random, LEASES)
    const dice = random.below(100)
    if (dice < 35) return client.put(key, freshValue(client, random), { ttlMs: 50 + random.below(1500) })
    if (dice < 45) {
      const row = await client.get(key, 'linearizable')
      return client.put(key, freshValue(client, random), {
        ifVersion: row?.version ?? 0,
        ttlMs: 500 + random.below(3000),
      })
    }
    if (dice < 50) return client.delete(key)
    await client.get(key, dice < 80 ? 'linearizable' : 'session')
  },
}

export const WORKLOADS: readonly Workload[] = [registers, counters, transfers, leases]

/** Milliseconds between two turns of a loop: the load is there to be checked, not to measure. */
const REST_MS = 4

/** Turns until it is told to stop. */
export async function loop(
  workload: Workload,
  client: RecordedClient,
  random: Prng,
  going: () => boolean,
): Promise<void> {
  while (going()) {
    await workload.turn(client, random)
    await sleep(REST_MS)
  }
}
