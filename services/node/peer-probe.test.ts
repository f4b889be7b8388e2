import { once } from 'node:events'
import { type AddressInfo, type Socket, createServer } from 'node:net'
import { expect } from 'chai'
import type { MapNode } from '../../streams/core/cluster-map.ts'
import { PROBE_MS } from '../../streams/core/limits.ts'
import { type PeerProbe, peerProbe } from './peer-probe.ts'
import { serveFake } from './served.fake.ts'

const at = (address: string, draining = false): MapNode => ({
  nodeId: 'peer',
  incarnation: '1',
  address,
  zone: '',
  draining,
})

describe('the probe of a peer', () => {
  let probe: PeerProbe
  beforeEach(() => (probe = peerProbe()))
  afterEach(() => probe.close())

  it('finds a node alive that answers, also while its replicas are not live', async () => {
    const peer = await serveFake()
    peer.node.setReady(false)
    expect(await probe.alive(at(peer.address))).to.equal(true)
    await peer.close()
  })

  it('finds one dead that has ended, and alive once it is back', async () => {
    const first = await serveFake()
    const { port } = new URL(`http://${first.address}`)
    expect(await probe.alive(at(first.address))).to.equal(true)
    await first.close()
    expect(await probe.alive(at(first.address))).to.equal(false)
    const again = await serveFake({}, undefined, undefined, Number(port))
    const deadline = Date.now() + 20 * PROBE_MS
    let alive = false
    while (!alive && Date.now() < deadline) alive = await probe.alive(at(again.address))
    expect(alive).to.equal(true)
    await again.close()
  })

  it('finds one dead that takes connections and says nothing, in the time of a probe', async () => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const began = performance.now()
    const { port } = silent.address() as AddressInfo
    expect(await probe.alive(at(`127.0.0.1:${port}`))).to.equal(false)
    expect(performance.now() - began).to.be.lessThan(10 * PROBE_MS)
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('leaves one alone that drains: it stops listening before it leaves', async () => {
    expect(await probe.alive(at('127.0.0.1:1', true))).to.equal(true)
  })
})
