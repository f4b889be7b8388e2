/** A TCP proxy before one broker, for tests: refuses connections, or swallows the answer to the next produce request. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

const PRODUCE = 0

export interface Proxy {
  readonly port: number
  /** While true, connections are cut and refused. */
  refuse(refusing: boolean): void
  /** Lets the next produce request through and cuts the connection in place of its answer. @returns when that has happened. */
  loseNextProduceAnswer(): Promise<void>
  close(): void
}

export async function startProxy(targetPort: () => number): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let refusing = false
  let onLost: (() => void) | undefined

  const server = createServer((client) => {
    if (refusing) {
      client.resetAndDestroy()
      return
    }
    const broker = connect({ host: '127.0.0.1', port: targetPort(), noDelay: true })
    const cut = (): void => {
      client.destroy()
      broker.destroy()
      sockets.delete(client)
      sockets.delete(broker)
    }
    for (const socket of [client, broker]) {
      sockets.add(socket)
      socket.on('error', cut)
      socket.on('close', cut)
    }
    let swallow = false
    client.on('data', (chunk) => {
      // Requests of one connection come one after the other, and each in a write of its own: its head starts a chunk.
      if (onLost !== undefined && chunk.length > 6 && chunk.readInt16BE(4) === PRODUCE) swallow = true
      broker.write(chunk)
    })
    broker.on('data', (chunk) => {
      if (swallow) {
        cut()
        onLost?.()
        onLost = undefined
      } else client.write(chunk)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    port: (server.address() as AddressInfo).port,
    refuse(value) {
      refusing = value
      if (value) for (const socket of sockets) socket.destroy()
    },
    loseNextProduceAnswer: () =>
      new Promise((resolve) => {
        onLost = resolve
      }),
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
