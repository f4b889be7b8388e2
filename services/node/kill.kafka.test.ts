import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withKafka } from '../../infra/kafka/with-kafka.ts'
import { survivesKills } from './kill.fixture.ts'

describe('a node on Kafka that is killed', () => {
  const kafka = withKafka()
  let directory: string
  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'tidemark-kill-'))))
  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('loses no acknowledged write and applies none twice', async function () {
    this.timeout(180_000)
    await survivesKills({
      TIDEMARK_LOG: 'kafka',
      TIDEMARK_KAFKA_BROKERS: kafka.bootstrap.join(','),
      TIDEMARK_CLUSTER: kafka.freshName('kill'),
      TIDEMARK_DEV: '1',
      TIDEMARK_DATA_DIR: directory,
      TIDEMARK_PARTITIONS: '4',
    })
  })
})
