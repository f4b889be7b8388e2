/** Nodes on a real broker that talks to nobody without TLS and a name. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { kafkaJars } from '../../infra/kafka/jars.ts'
import { freePorts } from '../../infra/kafka/ports.ts'
import { type KafkaCluster, startKafka } from '../../infra/kafka/start.ts'
import { withJava } from '../../infra/kafka/with-kafka.ts'
import { makeCertificates } from '../../infra/tools/certificates.ts'
import { openKafkaLog } from '../../streams/log/kafka/log.ts'
import { connect } from '../client/index.ts'
import { startNode } from './process.fixture.ts'

const run = promisify(execFile)

describe('nodes on a Kafka with TLS and SASL', function () {
  this.timeout(120_000)
  withJava()
  let folder: string
  let kafka: KafkaCluster
  let tls: Readonly<Record<string, string>>
  let user: Readonly<Record<string, string>>
  let [scramPort, mutualPort] = [0, 0]

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-secured-'))
    const certificates = await makeCertificates(folder)
    const broker = await certificates.issue('broker')
    const { cert, key } = await certificates.issue('tide')
    const [port = 0, scram = 0, mutual = 0, controller = 0] = await freePorts(4)
    ;[scramPort, mutualPort] = [scram, mutual]
    // PEM on one line, as Java's properties want it.
    const pem = async (path: string): Promise<string> => (await readFile(path, 'utf8')).replaceAll('\n', ' ')
    const scramModule = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
    kafka = await startKafka({
      port,
      settings: {
        listeners:
          `PLAINTEXT://127.0.0.1:${port},SCRAM://127.0.0.1:${scram},` +
          `MUTUAL://127.0.0.1:${mutual},CONTROLLER://127.0.0.1:${controller}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},SCRAM://127.0.0.1:${scram},MUTUAL://127.0.0.1:${mutual}`,
        'listener.security.protocol.map':
          'PLAINTEXT:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL,CONTROLLER:PLAINTEXT',
        'controller.quorum.voters': `1@127.0.0.1:${controller}`,
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.certificate.chain': await pem(broker.cert),
        'ssl.keystore.key': await pem(broker.key),
        'ssl.truststore.type': 'PEM',
        'ssl.truststore.certificates': await pem(certificates.ca),
        'listener.name.mutual.ssl.client.auth': 'required',
        'sasl.enabled.mechanisms': 'SCRAM-SHA-512',
        'listener.name.scram.scram-sha-512.sasl.jaas.config': scramModule,
      },
    })
    const jars = await kafkaJars()
    await run(jars.java, [
      ...['-cp', jars.classPath, 'kafka.admin.ConfigCommand', '--bootstrap-server', `127.0.0.1:${port}`],
      ...['--alter', '--entity-type', 'users', '--entity-name', 'tide'],
      ...['--add-config', 'SCRAM-SHA-512=[iterations=4096,password=mark]'],
    ])
    tls = {
      TIDEMARK_LOG: 'kafka',
      TIDEMARK_DEV: '1',
      TIDEMARK_PARTITIONS: '2',
      TIDEMARK_KAFKA_TLS: '1',
      TIDEMARK_KAFKA_TLS_CA_FILE: certificates.ca,
    }
    user = { TIDEMARK_KAFKA_TLS_CERT_FILE: cert, TIDEMARK_KAFKA_TLS_KEY_FILE: key }
  })
  after(async () => {
    await kafka?.stop()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  /** Two of them, each with connections of its own for the log and for the group, come to one map and serve. */
  const serveTogether = async (name: string, settings: Readonly<Record<string, string>>): Promise<void> => {
    const nodes = await Promise.all(
      ['a', 'b'].map((id) =>
        startNode({
          ...settings,
          TIDEMARK_CLUSTER: name,
          TIDEMARK_NODE_ID: id,
          TIDEMARK_DATA_DIR: join(folder, name, id),
        }),
      ),
    )
    const db = connect({ server: nodes[0]?.address ?? '' })
    try {
      await db.put('greeting', 'hello')
      expect((await db.get('greeting'))?.text()).to.equal('hello')
      expect((await db.map()).nodes.map(({ nodeId }) => nodeId).sort()).to.deep.equal(['a', 'b'])
    } finally {
      await db.close()
      const codes = await Promise.all(nodes.map((node) => node.end('SIGTERM')))
      expect(codes, nodes.map((node) => node.output()).join('\n')).to.deep.equal([0, 0])
    }
  }

  it('serve by name and password over TLS', () =>
    serveTogether('scram', {
      ...tls,
      TIDEMARK_KAFKA_BROKERS: `127.0.0.1:${scramPort}`,
      TIDEMARK_KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      TIDEMARK_KAFKA_SASL_USERNAME: 'tide',
      TIDEMARK_KAFKA_SASL_PASSWORD: 'mark',
    }))

  it('serve by a certificate of their own', () =>
    serveTogether('mutual', { ...tls, ...user, TIDEMARK_KAFKA_BROKERS: `127.0.0.1:${mutualPort}` }))

  it('end at once with a wrong password, which they do not show', async () => {
    const node = await startNode({
      ...tls,
      TIDEMARK_DATA_DIR: join(folder, 'wrong'),
      TIDEMARK_KAFKA_BROKERS: `127.0.0.1:${scramPort}`,
      TIDEMARK_KAFKA_SASL_MECHANISM: 'scram-sha-512',
      TIDEMARK_KAFKA_SASL_USERNAME: 'tide',
      TIDEMARK_KAFKA_SASL_PASSWORD: 'neap',
    })
    expect(node.process.exitCode).to.equal(1)
    expect(node.output()).to.contain('refuses the credentials').and.not.contain('neap')
  })

  it('are not served where the authority of the brokers is not known: what is wrong is said, and tried again', async () => {
    const stop = new AbortController()
    const told = new Promise<string>((resolve) => {
      const telemetry = { trouble: (sentence: string) => resolve(sentence), recovered: () => undefined }
      const brokers = [`127.0.0.1:${mutualPort}`]
      openKafkaLog({ brokers, ssl: true, clientId: 'test', dev: true, telemetry, signal: stop.signal }).catch(
        () => undefined,
      )
    })
    expect(await told).to.match(/No Kafka broker answers at .* (certificate|issuer)/)
    stop.abort()
  })
})
