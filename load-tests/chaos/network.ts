/**
 * The network between the processes of a cell: whatever one of them says to another passes a door of this process, which knows who
 * speaks to whom. A way (from, to) can be cut, or slowed down, in one direction or both.
 *
 * A cut is that of a cable, not of a socket: nothing is refused and nothing is closed. What was under way waits and arrives after the
 * cable is mended, in order, however old it is by then; a new connection waits as a lost SYN would. That is the worst case for whoever
 * gave up waiting: a request that its sender believes lost is carried out much later.
 *
 *   source ─▶ door ─▶ stamped with its arrival ─▶ held while the way is cut, and for its delay ─▶ target
 */
import { once } from 'node:events'
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net'
import { Transform } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** Who takes part: `client`, `node-1`, `broker-2` … */
export type Party = string

/** What a cut has done so far, summed over the ways that were asked for. */
export interface Harm {
  /** Connections that were open, and had something to say that was held back. */
  readonly heldConnections: number
  /** Pieces of data that were held back. */
  readonly heldChunks: number
  /** Connections that could not be made. */
  readonly heldDials: number
}

/** Chunks that one direction of one connection keeps while it is held; then the socket's own buffers fill up. */
const CHUNKS_MAX = 256

interface Stamped {
  readonly chunk: Buffer
  readonly at: number
}

/** One direction between two parties. */
class Way {
  delayMs = 0
  heldChunks = 0
  heldDials = 0
  readonly heldConnections = new Set<Socket>()
  #opened: Promise<void> | undefined
  #open: () => void = () => undefined

  get cut(): boolean {
    return this.#opened !== undefined
  }

  close(): void {
    this.#opened ??= new Promise((resolve) => (this.#open = resolve))
  }

  open(): void {
    this.#opened = undefined
    this.#open()
  }

  /** Resolves when what arrived at that time may go on. */
  async passed(at: number): Promise<void> {
    while (this.#opened !== undefined) await this.#opened
    const early = at + this.delayMs - performance.now()
    if (early > 0) await sleep(early)
  }
}

export class Network {
  readonly #ways = new Map<string, Way>()
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()

  /**
   * Opens a door to a target.
   * @param from - who speaks through it, told from the address that the connection comes from where several do
   * @returns the port of the door, on 127.0.0.1
   */
  async door(
    from: Party | ((remoteAddress: string) => Party),
    to: Party,
    targetPort: number,
    port = 0,
  ): Promise<number> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      const source = typeof from === 'string' ? from : from(socket.remoteAddress ?? '')
      this.#keep(socket)
      void this.#connect(socket, source, to, targetPort)
    })
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    this.#servers.push(server)
    return (server.address() as AddressInfo).port
  }

  /** Cuts the way from each of these to each of those, in that direction only. */
  cut(from: readonly Party[], to: readonly Party[]): void {
    for (const way of this.#between(from, to)) way.close()
  }

  /** Cuts all ways between the two sides. */
  part(one: readonly Party[], other: readonly Party[]): void {
    this.cut(one, other)
    this.cut(other, one)
  }

  /** Everything between the two sides takes so much longer, each way. */
  slow(one: readonly Party[], other: readonly Party[], delayMs: number): void {
    for (const way of [...this.#between(one, other), ...this.#between(other, one)]) way.delayMs = delayMs
  }

  /** Mends everything. */
  heal(): void {
    for (const way of this.#ways.values()) {
      way.open()
      way.delayMs = 0
    }
  }

  /** What was held back between the two sides, both ways, since the network stands. */
  harm(one: readonly Party[], other: readonly Party[]): Harm {
    const ways = [...this.#between(one, other), ...this.#between(other, one)]
    const sum = (of: (way: Way) => number): number => ways.reduce((total, way) => total + of(way), 0)
    return {
      heldConnections: sum((way) => way.heldConnections.size),
      heldChunks: sum((way) => way.heldChunks),
      heldDials: sum((way) => way.heldDials),
    }
  }

  async close(): Promise<void> {
    const ended = this.#servers.map((server) => once(server, 'close'))
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
    this.heal()
    await Promise.all(ended)
  }

  #between(from: readonly Party[], to: readonly Party[]): Way[] {
    return from.flatMap((source) =>
      to.filter((each) => each !== source).map((each) => this.#way(source, each)),
    )
  }

  #way(from: Party, to: Party): Way {
    const name = `${from}→${to}`
    let way = this.#ways.get(name)
    if (way === undefined) this.#ways.set(name, (way = new Way()))
    return way
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    // What failed is closed, and the other side hears of it when the way is open.
    socket.on('error', () => undefined)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  async #connect(source: Socket, from: Party, to: Party, targetPort: number): Promise<void> {
    const there = this.#way(from, to)
    const back = this.#way(to, from)
    if (there.cut || back.cut) there.heldDials += 1
    await there.passed(performance.now())
    await back.passed(performance.now())
    if (source.destroyed) return
    const target = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true })
    this.#keep(target)
    void carry(source, target, there)
    void carry(target, source, back)
  }
}

async function carry(source: Socket, sink: Socket, way: Way): Promise<void> {
  const stamp = new Transform({
    readableObjectMode: true,
    readableHighWaterMark: CHUNKS_MAX,
    transform(chunk: Buffer, _, done) {
      const stamped: Stamped = { chunk, at: performance.now() }
      done(null, stamped)
    },
  })
  source.pipe(stamp)
  let broken = false
  source.once('error', () => (broken = true))
  source.once('close', () => stamp.end())
  for await (const { chunk, at } of stamp as AsyncIterable<Stamped>) {
    if (way.cut) {
      way.heldChunks += 1
      way.heldConnections.add(source)
    }
    await way.passed(at)
    if (sink.writable && !sink.write(chunk)) await drained(sink)
  }
  await way.passed(performance.now())
  if (broken) sink.destroy()
  else sink.end()
}

const drained = (sink: Socket): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      sink.off('drain', done).off('close', done)
      resolve()
    }
    sink.on('drain', done).on('close', done)
  })
