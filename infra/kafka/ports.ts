/**
 * Ports for servers that must know each other's port before any of them runs (brokers of a quorum), and that must get
 * the same port again after a restart. They lie below the range from which systems take the ports of outgoing
 * connections (32768 and up), so that no client can occupy one while its broker is down.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const FIRST = 15_000
const LAST = 32_000
const TRIES_MAX = 200

export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  for (let tries = 0; found.size < count; tries++) {
    if (tries === TRIES_MAX)
      throw new Error(`no ${count} free ports between ${FIRST} and ${LAST} on 127.0.0.1`)
    const port = randomInt(FIRST, LAST)
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

export const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      resolve(false)
    })
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      server.close(() => {
        resolve(true)
      })
    })
  })
