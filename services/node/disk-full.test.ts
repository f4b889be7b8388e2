/** A whole node whose disk fills up under it, on the embedded log: nothing acknowledged is lost, and it goes on when there is room. */
import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { type Tidemark, TidemarkError, connect } from '../client/index.ts'
import { type NodeProcess, startNode } from './process.fixture.ts'
import { type SmallDisk, openSmallDisk } from './small-disk.fixture.ts'

/** Both databases of the node get a first file of their write-ahead log into it, and not many more. */
const DISK_MB = 192
const VALUE_BYTES = 200_000

describe('a node whose disk is full', function () {
  this.timeout(180_000)
  let disk: SmallDisk | undefined
  let node: NodeProcess | undefined
  let db: Tidemark | undefined
  /** What was acknowledged: the value of each key. */
  const acknowledged = new Map<string, Buffer>()

  before(async function () {
    disk = await openSmallDisk(DISK_MB)
    if (disk === undefined) this.skip()
  })
  after(async () => {
    await db?.close()
    await node?.end('SIGKILL')
    disk?.release()
  })

  const start = async ({ directory, enter }: SmallDisk): Promise<Tidemark> => {
    await db?.close()
    node = await startNode({ TIDEMARK_DATA_DIR: directory, TIDEMARK_PARTITIONS: '2' }, enter)
    return (db = connect({ server: node.address }))
  }

  /** @returns why not, where it was not acknowledged within the time. */
  const put = async (
    client: Tidemark,
    key: string,
    deadlineMs: number,
  ): Promise<TidemarkError | undefined> => {
    const value = randomBytes(VALUE_BYTES)
    try {
      await client.put(key, value, { deadlineMs })
      acknowledged.set(key, value)
      return undefined
    } catch (caught) {
      if (!(caught instanceof TidemarkError)) throw caught
      expect(caught.reason).to.be.oneOf(['DISK_FULL', 'DEADLINE_EXCEEDED'])
      return caught
    }
  }

  const readAll = async (client: Tidemark): Promise<void> => {
    for (const [key, value] of acknowledged)
      for (const consistency of ['linearizable', 'eventual'] as const) {
        const row = await client.get(key, { consistency })
        expect(row !== undefined && value.equals(row.value), `${key}, ${consistency}`).to.equal(true)
      }
  }

  it('keeps what it acknowledged, reads on, refuses writes, and takes them again when there is room', async () => {
    if (disk === undefined) throw new Error('the suite is skipped')
    const client = await start(disk)
    for (let n = 0; n < 5; n++) expect(await put(client, `before-${n}`, 10_000)).to.equal(undefined)

    disk.fill()
    let failure: TidemarkError | undefined
    let written = 0
    // The files that stand may have room reserved.
    while (failure === undefined) failure = await put(client, `filling-${written++}`, 3000)
    expect(written * VALUE_BYTES).to.be.lessThan(DISK_MB << 20)
    await readAll(client)
    failure = await put(client, 'refused', 1500)
    expect(String(failure?.message), 'it says why').to.match(/disk that has no room|No space left/)
    await readAll(client)
    expect(node?.process.exitCode, 'it lives').to.equal(null)

    disk.free()
    const roomAt = Date.now()
    while ((await put(client, 'after', 3000)) !== undefined)
      expect(Date.now() - roomAt, 'it goes on by itself').to.be.lessThan(60_000)
    for (let n = 0; n < 5; n++) expect(await put(client, `after-${n}`, 10_000)).to.equal(undefined)
    await readAll(client)

    await node?.end('SIGKILL')
    const again = await start(disk)
    await readAll(again)
    expect(await node?.end('SIGTERM')).to.equal(0)
  })

  it('is refused at the start, with the reason, and starts when there is room', async () => {
    if (disk === undefined) throw new Error('the suite is skipped')
    disk.fill()
    await start(disk)
    expect(node?.process.exitCode).to.equal(5)
    expect(node?.output()).to.include('has no room').and.to.include('DISK_FULL')
    disk.free()
    await readAll(await start(disk))
  })
})
