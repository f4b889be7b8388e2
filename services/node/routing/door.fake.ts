/** A TCP door before a server, which a test can slam (as when a process dies) or freeze (as when a machine hangs). */
import { createConnection, createServer, type Server, type Socket } from 'node:net'

export class Door {
  readonly address: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #frozen = false

  constructor(server: Server, target: () => { host: string; port: number }) {
    this.#server = server
    const address = server.address()
    this.address = typeof address === 'object' && address !== null ? `127.0.0.1:${address.port}` : ''
    server.on('connection', (outside: Socket) => {
      this.#keep(outside)
      if (this.#frozen) return
      const inside = createConnection(target())
      this.#keep(inside)
      for (const [from, to] of [
        [outside, inside],
        [inside, outside],
      ] as const) {
        from.on('data', (bytes: Buffer) => {
          if (!this.#frozen) to.write(bytes)
        })
        from.on('close', () => {
          if (!this.#frozen) to.destroy()
        })
      }
    })
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
  }

  /** Nothing passes any more, and nobody is told. */
  freeze(): void {
    this.#frozen = true
  }

  /** Cuts all connections; new ones pass. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Cuts all connections, and takes no new one. */
  slam(): void {
    this.#server.close()
    this.cut()
  }
}

export async function openDoor(target: string): Promise<Door> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const [host = '', port] = target.split(':')
  return new Door(server, () => ({ host, port: Number(port) }))
}
