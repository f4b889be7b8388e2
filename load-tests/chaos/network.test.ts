import { once } from 'node:events'
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { Network } from './network.ts'

/** Long enough for what is on its way on loopback. */
const SOON_MS = 60

describe('the network of a cell', () => {
  const sockets: Socket[] = []
  let network: Network
  let server: Server
  let port: number
  /** What the server heard, in order; it says the same back. */
  let heard: string

  beforeEach(async () => {
    heard = ''
    network = new Network()
    server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => {
        heard += chunk.toString()
        socket.write(chunk)
      })
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = await network.door('a', 'b', (server.address() as AddressInfo).port)
  })
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await network.close()
    server.close()
  })

  const dial = (): { readonly socket: Socket; readonly answers: () => string } => {
    const socket = connect({ port, host: '127.0.0.1' })
    let answers = ''
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => (answers += chunk.toString()))
    sockets.push(socket)
    return { socket, answers: () => answers }
  }

  const until = async (true_: () => boolean): Promise<void> => {
    while (!true_()) await sleep(1)
  }

  it('carries what is said, both ways', async () => {
    const { socket, answers } = dial()
    const text = 'x'.repeat(300_000)
    socket.write(text)
    await until(() => answers().length === text.length)
    expect(heard).to.equal(text)
    expect(network.harm(['a'], ['b'])).to.deep.equal({ heldConnections: 0, heldChunks: 0, heldDials: 0 })
  })

  it('holds what is said while the way is cut, and brings it in order when it is mended', async () => {
    const { socket, answers } = dial()
    socket.write('1')
    await until(() => answers() === '1')
    network.part(['a'], ['b'])
    for (const text of ['2', '3']) {
      socket.write(text)
      await sleep(SOON_MS)
    }
    expect(heard).to.equal('1')
    expect(network.harm(['a'], ['b']).heldConnections).to.equal(1)
    network.heal()
    await until(() => answers() === '123')
  })

  it('lets what is said arrive and holds the answers, where only the way back is cut', async () => {
    const { socket, answers } = dial()
    socket.write('1')
    await until(() => answers() === '1')
    network.cut(['b'], ['a'])
    socket.write('2')
    await until(() => heard === '12')
    await sleep(SOON_MS)
    expect(answers()).to.equal('1')
    network.heal()
    await until(() => answers() === '12')
  })

  it('makes no connection over a cut way, and makes it later', async () => {
    network.part(['a'], ['b'])
    const { socket, answers } = dial()
    socket.write('1')
    await sleep(SOON_MS)
    expect(heard).to.equal('')
    expect(network.harm(['b'], ['a']).heldDials).to.equal(1)
    network.heal()
    await until(() => answers() === '1')
  })

  it('tells nobody of an end while the way is cut', async () => {
    const { socket, answers } = dial()
    socket.write('1')
    await until(() => answers() === '1')
    const there = sockets.at(-1)
    let ended = false
    there?.once('end', () => (ended = true))
    network.part(['a'], ['b'])
    socket.end('2')
    await sleep(SOON_MS)
    expect(ended).to.equal(false)
    network.heal()
    await until(() => ended)
    expect(heard).to.equal('12')
  })

  it('delays each piece by as much, and keeps the order', async () => {
    const { socket, answers } = dial()
    socket.write('0')
    await until(() => answers() === '0')
    network.slow(['a'], ['b'], 40)
    const began = performance.now()
    for (const text of '123456789') {
      socket.write(text)
      await sleep(1)
    }
    await until(() => answers() === '0123456789')
    expect(performance.now() - began).to.be.within(75, 1000)
  })

  it('leaves the ways of others open', async () => {
    const { socket, answers } = dial()
    network.part(['c'], ['b'])
    socket.write('1')
    await until(() => answers() === '1')
  })
})
