/** The documented example, on a real Kafka: import, read back by prefix, watch a change, see its history. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { withKafka } from '../../infra/kafka/with-kafka.ts'
import { run } from '../../services/cli/run.fake.ts'
import { connect } from '../../services/client/index.ts'
import type { WatchItem } from '../../services/client/index.ts'
import { startNode } from '../../services/node/process.fixture.ts'
import type { NodeProcess } from '../../services/node/process.fixture.ts'
import { cityLines } from './cities.ts'

const CITIES = 135_233

describe('the cities of the world on Kafka', function () {
  this.timeout(180_000)
  const kafka = withKafka()
  let directory: string
  let node: NodeProcess

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tidemark-cities-'))
    node = await startNode({
      TIDEMARK_LOG: 'kafka',
      TIDEMARK_KAFKA_BROKERS: kafka.bootstrap.join(','),
      TIDEMARK_CLUSTER: kafka.freshName('cities'),
      TIDEMARK_DATA_DIR: directory,
      TIDEMARK_PARTITIONS: '4',
      TIDEMARK_DEV: '1',
    })
  })
  after(async () => {
    await node.end('SIGTERM')
    await rm(directory, { recursive: true, force: true })
  })

  it('imports them all, reads a country back by prefix, and watches a change', async () => {
    const lines = [...cityLines()]
    expect(lines).to.have.length(CITIES)
    const imported = await run(node.address, ['import', '-'], lines.join(''))
    expect(imported.err + imported.out).to.match(/135,?233/)
    expect(imported.code).to.equal(0)

    const db = connect({ server: node.address })
    let rows = 0
    for await (const row of db.scan({ prefix: 'city/', keysOnly: true })) {
      expect(row.key.length).to.be.greaterThan(5)
      rows += 1
    }
    expect(rows).to.equal(CITIES)
    const wanted = lines.filter((line) => line.startsWith('{"key":"city/LI/'))
    const found: string[] = []
    for await (const row of db.scan({ prefix: 'city/LI/' })) found.push(row.text())
    expect(found.length).to.equal(wanted.length)
    expect(found.some((value) => value.includes('"Vaduz"'))).to.equal(true)

    const watch = db.watch({ prefix: 'city/LI/' })
    await watch.started
    const { version } = await db.put('city/LI/new', '{"name":"Newtown"}')
    const { value } = (await watch.next()) as { value: WatchItem }
    expect(value.type).to.equal('put')
    expect('row' in value && value.row.version).to.equal(version)
    await watch.return?.()
    const { versions } = await db.history('city/LI/new')
    expect(versions).to.have.length(1)
    await db.close()
  })
})
