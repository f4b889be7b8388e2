/**
 * SIGKILL of a real node under load, again and again over one data directory: every acknowledged write must stand afterwards,
 * exactly once (invariant I4), and the chain of effects must go on where it was (I3).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { connect } from '../client/index.ts'
import { startNode } from './process.fixture.ts'

const ROUNDS = 6
const WRITERS = 32

/** @param settings - of the node; the same data directory for each round */
export async function survivesKills(settings: Readonly<Record<string, string>>): Promise<void> {
  /** Acknowledged: the last value of each key, and the sum of all increments. */
  const acknowledged = new Map<string, string>()
  let sumAcknowledged = 0n
  let sumAttempted = 0n
  for (let round = 0; round < ROUNDS; round++) {
    const node = await startNode(settings)
    const db = connect({ server: node.address, deadlineMs: 60_000, retryUnreachable: false })
    for (const [key, value] of acknowledged)
      expect((await db.get(key))?.text(), `round ${round} ${key}`).to.equal(value)
    const sum = BigInt((await db.get('sum'))?.text() ?? '0')
    expect(
      sum >= sumAcknowledged && sum <= sumAttempted,
      `${sumAcknowledged} <= ${sum} <= ${sumAttempted}`,
    ).to.equal(true)
    sumAcknowledged = sum
    sumAttempted = sum
    let running = true
    const writers = Array.from({ length: WRITERS }, async (_, writer) => {
      for (let count = 0; running; count++) {
        const key = `${writer}-${count % 50}`
        const value = `${round}.${count}`
        try {
          await db.put(key, value)
          acknowledged.set(key, value)
          sumAttempted += 1n
          await db.increment('sum')
          sumAcknowledged += 1n
        } catch {
          // Neither acknowledged nor denied: the next round reads what became of it.
          acknowledged.delete(key)
          return
        }
      }
    })
    await sleep(150 + 100 * round)
    await node.end('SIGKILL')
    running = false
    await Promise.all(writers)
    await db.close()
  }
  expect(acknowledged.size).to.be.greaterThan(100)
  const node = await startNode(settings)
  const db = connect({ server: node.address })
  for (const [key, value] of acknowledged) expect((await db.get(key))?.text(), key).to.equal(value)
  await db.close()
  expect(await node.end('SIGTERM')).to.equal(0)
}
