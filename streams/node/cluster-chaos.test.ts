/**
 * Nodes come, go, die, are cut off and come back, by seed, while increments go on. At the end every replica of a partition is the same,
 * and each increment that was acknowledged counts once (I4), whoever led when.
 */
import { expect } from 'chai'
import { Prng } from '../core/testing/prng.ts'
import { systemClock } from '../system.ts'
import {
  type TestCluster,
  isAtRest,
  openTestCluster,
  readAll,
  statusOf,
  until,
  write,
} from './cluster.fixture.ts'

const PARTITIONS = 6
const KEYS = 12

async function disturb(cluster: TestCluster, random: Prng): Promise<void> {
  const alive = [...cluster.nodes.values()].filter((one) => one.alive)
  const dead = [...cluster.nodes.values()].filter((one) => !one.alive)
  const victim = alive[random.below(alive.length)]
  const next = random.below(5)
  if (next === 0 && victim !== undefined && alive.length > 3) {
    victim.kill()
    await systemClock.sleep(random.below(60))
    cluster.group.evict(victim.id)
  } else if (next === 1 && victim !== undefined) {
    cluster.group.cut(victim.id)
    cluster.group.evict(victim.id)
    await systemClock.sleep(random.below(100))
    cluster.group.heal(victim.id)
  } else if (next === 2 && victim !== undefined && alive.length > 3) {
    await victim.node.drain(Date.now() + 1000)
    await victim.node.close(Date.now() + 1000)
    cluster.nodes.delete(victim.id)
  } else if (next === 3 && dead[0] !== undefined) {
    await cluster.start(dead[0].id, { store: dead[0].store })
  } else if (alive.length < 6) {
    const id = `n${random.below(1_000_000)}`
    await cluster.start(id)
  }
}

describe('a cluster that is never left alone', () => {
  for (const seed of [1, 2, 3, 4])
    it(`loses and doubles nothing, seed ${seed}`, async function () {
      this.timeout(60_000)
      const random = new Prng(seed)
      const cluster = openTestCluster({ seed, partitions: PARTITIONS, replication: 3 })
      try {
        for (let at = 0; at < 4; at++) await cluster.start(`n${at}`)
        await until(() => isAtRest(cluster, 3), 'four nodes share the partitions')
        const sums = Array.from({ length: KEYS }, () => 0)
        let stop = false
        const writers = Array.from({ length: 4 }, async (_, writer) => {
          for (let sequence = 0; !stop; sequence++) {
            const at = (writer + sequence * 5) % KEYS
            const requestId = `writer-${writer}/${sequence}`
            await write(cluster, { kind: 'increment', key: Buffer.from(`key-${at}`), delta: 1n, requestId })
            sums[at] = (sums[at] ?? 0) + 1
            await systemClock.sleep(1)
          }
        })
        for (let turn = 0; turn < 12; turn++) {
          await disturb(cluster, random)
          await systemClock.sleep(random.below(150))
        }
        stop = true
        await Promise.all(writers)
        const alive = (): number => [...cluster.nodes.values()].filter((one) => one.alive).length
        await until(() => isAtRest(cluster, Math.min(3, alive())), 'it comes to rest')
        for (const [at, sum] of sums.entries()) {
          expect(sum).to.be.greaterThan(0)
          expect(new Set(await readAll(cluster, `key-${at}`)), `key-${at}`).to.deep.equal(
            new Set([String(sum)]),
          )
        }
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const seen = [...cluster.nodes.values()].flatMap(({ node, alive: lives }) => {
            const status = lives ? statusOf(node, partition) : undefined
            return status === undefined ? [] : [`${status.chainHash} at ${status.next}`]
          })
          expect(new Set(seen).size, `replicas of partition ${partition} are equal`).to.equal(1)
        }
      } finally {
        await cluster.dispose()
      }
    })
})
