/** The process: what it says, and the codes with which it ends. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { credentials } from '@grpc/grpc-js'
import { expect } from 'chai'
import { KeyValueServiceClient, ScanRequest } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { connect } from '../client/index.ts'
import { type NodeProcess, startNode } from './process.fixture.ts'

describe('tidemark serve', () => {
  let folder: string
  const started: NodeProcess[] = []
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'tidemark-main-'))))
  afterEach(async () => {
    for (const node of started.splice(0)) {
      if (node.process.exitCode === null && node.process.signalCode === null) await node.end('SIGKILL')
    }
    await rm(folder, { recursive: true })
  })
  const start = async (settings: Record<string, string> = {}): Promise<NodeProcess> => {
    const node = await startNode({ TIDEMARK_DATA_DIR: folder, TIDEMARK_PARTITIONS: '2', ...settings })
    started.push(node)
    return node
  }

  it('says in one line where it listens, and ends with 0 at SIGTERM', async () => {
    const node = await start()
    const greetings = node
      .output()
      .split('\n')
      .filter((line) => line.includes(' listening on '))
    expect(greetings).to.have.length(1)
    const { msg } = JSON.parse(greetings[0] ?? '') as { msg: string }
    expect(msg).to.contain(
      `listening on grpc://${node.address} and http://${node.httpAddress}, embedded log in ${folder}`,
    )
    expect(await node.end('SIGTERM')).to.equal(0)
    expect(node.output()).to.contain('"stopped"')
  })

  it('answers writes that are in flight at SIGTERM', async () => {
    const node = await start()
    const db = connect({ server: node.address, retryUnreachable: false })
    await db.put('first', '1')
    const writes = Array.from({ length: 200 }, (_, index) =>
      db.put(`k${index}`, 'v').then(
        () => index,
        () => -1,
      ),
    )
    const ended = node.end('SIGTERM')
    const answered = (await Promise.all(writes)).filter((index) => index >= 0)
    expect(await ended).to.equal(0)
    await db.close()
    const again = await start()
    const reader = connect({ server: again.address })
    for (const index of answered) expect((await reader.get(`k${index}`))?.text()).to.equal('v')
    await reader.close()
  })

  it('ends with 1 at once at a second signal', async () => {
    const node = await start()
    const db = connect({ server: node.address })
    await Promise.all(
      Array.from({ length: 30 }, (_, index) => db.put(`large${index}`, Buffer.alloc(1 << 19))),
    )
    // A scan that is not read holds the drain up.
    const client = new KeyValueServiceClient(node.address, credentials.createInsecure())
    const scan = client.scan(ScanRequest.create())
    scan.on('error', () => undefined)
    await once(scan, 'metadata')
    node.process.kill('SIGTERM')
    while (!node.output().includes('finishing what was begun')) await turn()
    const before = Date.now()
    expect(await node.end('SIGINT')).to.equal(1)
    expect(Date.now() - before).to.be.lessThan(5000)
    client.close()
    await db.close()
  })

  it('lists all wrong settings in one line and ends with an error', async () => {
    const node = await start({ TIDEMARK_LOG: 'redis', TIDEMARK_PARTITIONS: '0', TIDEMARK_PARTITION: '1' })
    expect(node.process.exitCode).to.equal(1)
    expect(node.output().trim().split('\n')).to.have.length(1)
    for (const name of [
      'TIDEMARK_LOG: ',
      'TIDEMARK_PARTITIONS: ',
      'TIDEMARK_PARTITION: ',
      'CONFIG_INVALID',
    ]) {
      expect(node.output()).to.contain(name)
    }
  })

  it('says in one line that the port is taken', async () => {
    const first = await start()
    const other = await mkdtemp(join(tmpdir(), 'tidemark-main-'))
    const second = await start({ TIDEMARK_DATA_DIR: other, TIDEMARK_GRPC_LISTEN: first.address })
    expect(second.process.exitCode).to.equal(1)
    expect(second.output()).to.contain('PORT_TAKEN').and.to.contain(first.address)
    expect(second.output()).not.to.contain('    at ')
    await rm(other, { recursive: true })
  })
})
