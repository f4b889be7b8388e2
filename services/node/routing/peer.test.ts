/** One peer over real gRPC: frames, losses, deadlines, bounds. */
import { expect } from 'chai'
import { Consistency, Durability } from '../../../proto/generated/tidemark/v1/types.ts'
import type { PipelineResult } from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import { Tally } from '../../../streams/meters.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import { MESSAGE_BYTES_MAX, PEER_SUSPECT_MS } from '../../../streams/core/limits.ts'
import { type Served, serveFake } from '../served.fake.ts'
import { type Door, openDoor } from './door.fake.ts'
import { readOperation, writeOperation } from './operations.ts'
import { Peer } from './peer.ts'
import { Peers } from './peers.ts'

const FIELDS = {
  keyspace: 'default',
  consistency: Consistency.CONSISTENCY_UNSPECIFIED,
  token: undefined,
  durability: Durability.DURABILITY_APPLIED,
}

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (caught) {
    return TidemarkError.from(caught).reason
  }
  return 'none'
}

describe('a peer', () => {
  let served: Served
  let door: Door
  let peer: Peer
  beforeEach(async () => {
    served = await serveFake()
    door = await openDoor(served.address)
    peer = new Peer({ nodeId: 'b', incarnation: '1', address: door.address, zone: '', draining: false })
  })
  afterEach(async () => {
    peer.close()
    door.slam()
    await served.close()
  })

  const put = (key: string, ms = 5000, value = Buffer.from(key)): Promise<PipelineResult> =>
    peer.submit(
      FIELDS,
      writeOperation({ kind: 'put', key: Buffer.from(key), value }, undefined).operation,
      Date.now() + ms,
    )
  const get = (
    key: string,
    consistency: Consistency = Consistency.CONSISTENCY_EVENTUAL,
  ): Promise<PipelineResult> =>
    peer.submit({ ...FIELDS, consistency }, readOperation(Buffer.from(key)), Date.now() + 5000)

  it('gets what is asked for in one turn as one frame for each kind', async () => {
    const names = Array.from({ length: 300 }, (_, at) => `key-${at}`)
    await Promise.all(names.map((name) => put(name)))
    expect(served.node.written.map(({ kind }) => kind)).to.have.length(300)
    served.node.batches.length = 0
    const results = await Promise.all(names.map((name) => get(name)))
    expect(results.map(({ value }) => value.toString())).to.deep.equal(names)
    expect(served.node.batches).to.deep.equal([300])
  })

  it('reads by what each read demands', async () => {
    await put('a')
    const [eventual, linearizable] = await Promise.all([
      get('a'),
      get('a', Consistency.CONSISTENCY_LINEARIZABLE),
    ])
    expect([eventual.details?.consistency, linearizable.details?.consistency]).to.deep.equal([1, 3])
  })

  it('that is lost fails all that waits for it, and is found again', async () => {
    served.node.holding = true
    const waiting = ['a', 'b'].map((key) => reasonOf(put(key)))
    while (served.node.written.length < 2) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(peer.suspect).to.equal(false)
    door.cut()
    expect(await Promise.all(waiting)).to.deep.equal(['NODE_UNREACHABLE', 'NODE_UNREACHABLE'])
    expect(peer.suspect).to.equal(true)
    served.node.release()
    // One connection attempt may still be refused by the backoff of the channel.
    while ((await reasonOf(get('a'))) !== 'none') await new Promise((resolve) => setTimeout(resolve, 5))
    expect(peer.suspect, 'it has answered').to.equal(false)
  })

  it('that does not answer fails at the deadline, and is suspect for all but one in a while', async () => {
    door.freeze()
    const began = Date.now()
    expect(await reasonOf(put('a', 100))).to.equal('DEADLINE_EXCEEDED')
    expect(Date.now() - began).to.be.within(90, 2000)
    expect(peer.suspect).to.equal(true)
    while (Date.now() - began < PEER_SUSPECT_MS + 200) await new Promise((resolve) => setTimeout(resolve, 20))
    expect([peer.suspect, peer.suspect]).to.deep.equal([false, true])
  })

  it('is not sent what fits no message', async () => {
    await put('a')
    const large = reasonOf(put('b', 5000, Buffer.alloc(MESSAGE_BYTES_MAX)))
    expect(await large).to.equal('BATCH_TOO_LARGE')
    expect((await get('a')).value.toString(), 'the stream is whole').to.equal('a')
  })

  it('that drains says so for what it has not begun', async () => {
    await put('a')
    served.draining.abort()
    expect(['NODE_DRAINING', 'NODE_UNREACHABLE']).to.include(await reasonOf(put('b')))
  })

  it('is closed when the map drops it, moves it, or has a new life of it', async () => {
    const peers = new Peers('a', new Tally())
    const node = { nodeId: 'b', incarnation: '1', address: door.address, zone: '', draining: false }
    peers.update([node, { ...node, nodeId: 'a' }])
    const first = peers.get('b')
    expect(peers.get('a')).to.equal(undefined)
    peers.update([{ ...node, draining: true }])
    expect(peers.get('b')).to.equal(first)
    served.node.holding = true
    const operation = writeOperation({ kind: 'delete', key: Buffer.from('a') }, undefined).operation
    const waiting = first?.submit(FIELDS, operation, Date.now() + 5000)
    while (served.node.written.length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    peers.update([{ ...node, incarnation: '2' }])
    expect(peers.get('b')).not.to.equal(first)
    expect(await reasonOf(waiting ?? Promise.resolve())).to.equal('NODE_UNREACHABLE')
    expect(await reasonOf(first?.submit(FIELDS, operation, Date.now() + 5000) ?? Promise.resolve())).to.equal(
      'NODE_UNREACHABLE',
    )
    peers.update([])
    expect(peers.get('b')).to.equal(undefined)
    peers.close()
  })
})
