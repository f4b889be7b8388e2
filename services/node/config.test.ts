import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { z } from 'zod'
import { TidemarkError } from '../../streams/core/errors.ts'
import { type Environment, readConfig, readSettings, shownSettings } from './config.ts'

function problemsOf(env: Environment): string {
  try {
    readConfig(env)
  } catch (caught) {
    if (!(caught instanceof TidemarkError)) throw caught
    expect(caught.reason).to.equal('CONFIG_INVALID')
    return caught.message
  }
  throw new Error('the settings were taken')
}

describe('the configuration', () => {
  let folder: string
  before(() => (folder = mkdtempSync(join(tmpdir(), 'tidemark-config-'))))
  after(() => rmSync(folder, { recursive: true }))
  const file = (text: string): string => {
    const path = join(folder, 'setting')
    writeFileSync(path, text)
    return path
  }

  it('has a default for everything that one node needs', () => {
    expect(readConfig({})).to.deep.equal({
      log: 'embedded',
      kafkaBrokers: [],
      kafkaTls: false,
      kafkaTlsCa: undefined,
      kafkaTlsCert: undefined,
      kafkaTlsKey: undefined,
      kafkaTlsKeyPassphrase: undefined,
      kafkaSaslMechanism: undefined,
      kafkaSaslUsername: undefined,
      kafkaSaslPassword: undefined,
      dataDirectory: './data',
      cluster: 'tidemark',
      nodeId: undefined,
      grpcListen: { host: '127.0.0.1', port: 7400 },
      zone: '',
      grpcAdvertise: undefined,
      httpListen: { host: '127.0.0.1', port: 7480 },
      partitions: 16,
      replication: 3,
      dev: false,
      connectionAgeMs: 0,
      snapshotUrl: undefined,
      verifyMs: 24 * 3600 * 1000,
      snapshotS3Endpoint: undefined,
      logLevel: 'info',
      logFormat: 'json',
      datadogHost: undefined,
      datadogUrl: undefined,
      tracesEndpoint: undefined,
      tracesExporter: 'otlp',
      tracesProtocol: 'http/protobuf',
      tracesHeaders: undefined,
      tracesSampler: 'parentbased_traceidratio',
      tracesRatio: 0.01,
      serviceName: 'tidemark',
      resourceAttributes: undefined,
    })
  })

  it('reads what is set', () => {
    const config = readConfig({
      TIDEMARK_LOG: 'kafka',
      TIDEMARK_KAFKA_BROKERS: 'a:9092, [::1]:9093',
      TIDEMARK_GRPC_LISTEN: '[::]:1',
      TIDEMARK_GRPC_ADVERTISE: 'a:1',
      TIDEMARK_PARTITIONS: '1024',
      TIDEMARK_DEV: '1',
      TIDEMARK_NODE_ID: '',
      DD_AGENT_HOST: 'agent',
    })
    expect(config.kafkaBrokers).to.deep.equal(['a:9092', '[::1]:9093'])
    expect(config.grpcListen).to.deep.equal({ host: '::', port: 1 })
    expect(config.partitions).to.equal(1024)
    expect(config.dev).to.equal(true)
    expect(config.nodeId, 'an empty variable is unset').to.equal(undefined)
    expect(config.datadogHost).to.equal('agent')
  })

  it('lists all that is wrong in one error', () => {
    const message = problemsOf({
      TIDEMARK_LOG: 'redis',
      TIDEMARK_PARTITIONS: '1025',
      TIDEMARK_REPLICATION: '-1',
      TIDEMARK_GRPC_LISTEN: '7400',
      TIDEMARK_HTTP_LISTEN: '127.0.0.1:65536',
      TIDEMARK_DEV: 'yes',
      TIDEMARK_LOG_LEVEL: 'verbose',
      TIDEMARK_CLUSTER: '.',
    })
    for (const line of [
      'TIDEMARK_LOG: must be embedded or kafka (it is "redis")',
      'TIDEMARK_PARTITIONS: must be 1 to 1024 (it is "1025")',
      'TIDEMARK_REPLICATION: must be a whole number',
      'TIDEMARK_GRPC_LISTEN: must be host:port',
      'TIDEMARK_HTTP_LISTEN: must be host:port',
      'TIDEMARK_DEV: must be 1 or 0',
      'TIDEMARK_LOG_LEVEL: must be a level of pino',
      'TIDEMARK_CLUSTER: must be 1 to 100 of',
    ]) {
      expect(message).to.contain(line)
    }
  })

  it('needs brokers for Kafka', () => {
    expect(problemsOf({ TIDEMARK_LOG: 'kafka' })).to.contain('TIDEMARK_KAFKA_BROKERS: must name a broker')
    expect(problemsOf({ TIDEMARK_KAFKA_BROKERS: 'here' })).to.contain('has "here", which is not host:port')
  })

  it('needs an address for others where a node of a cluster listens on all of its own', () => {
    const kafka = { TIDEMARK_LOG: 'kafka', TIDEMARK_KAFKA_BROKERS: 'a:1' }
    for (const host of ['0.0.0.0', '[::]']) {
      const listen = { TIDEMARK_GRPC_LISTEN: `${host}:7400` }
      expect(problemsOf({ ...kafka, ...listen })).to.contain('TIDEMARK_GRPC_ADVERTISE: must be set')
      expect(
        readConfig({ ...kafka, ...listen, TIDEMARK_GRPC_ADVERTISE: 'b:1' }).grpcAdvertise?.host,
      ).to.equal('b')
      // One that is alone has nobody to tell.
      readConfig(listen)
    }
  })

  it('refuses names that do not exist and says which was meant', () => {
    expect(problemsOf({ TIDEMARK_PARTITION: '4' })).to.contain(
      'there is no such setting, did you mean TIDEMARK_PARTITIONS?',
    )
    expect(problemsOf({ TIDEMARK_KAKFA_BROKERS: 'a:1' })).to.contain('did you mean TIDEMARK_KAFKA_BROKERS?')
    expect(problemsOf({ TIDEMARK_COLOUR: 'blue' })).to.match(/TIDEMARK_COLOUR: there is no such setting$/)
  })

  it('lets alone what others put into the environment', () => {
    readConfig({
      PATH: '/bin',
      TIDEMARK_SERVER: '127.0.0.1:7400',
      // Kubernetes, of Services called tidemark and tidemark-headless.
      TIDEMARK_SERVICE_HOST: '10.0.0.1',
      TIDEMARK_SERVICE_PORT: '7400',
      TIDEMARK_SERVICE_PORT_GRPC: '7400',
      TIDEMARK_PORT: 'tcp://10.0.0.1:7400',
      TIDEMARK_PORT_7400_TCP: 'tcp://10.0.0.1:7400',
      TIDEMARK_PORT_7400_TCP_ADDR: '10.0.0.1',
      TIDEMARK_HEADLESS_SERVICE_HOST: '10.0.0.1',
    })
  })

  it('reads a setting from a file', () => {
    expect(readConfig({ TIDEMARK_CLUSTER_FILE: file('mine\n') }).cluster).to.equal('mine')
    expect(problemsOf({ TIDEMARK_CLUSTER_FILE: join(folder, 'missing') })).to.contain(
      'TIDEMARK_CLUSTER_FILE: cannot read the file',
    )
    expect(problemsOf({ TIDEMARK_CLUSTER_FILE: file('mine'), TIDEMARK_CLUSTER: 'other' })).to.contain(
      'TIDEMARK_CLUSTER: is set twice',
    )
  })

  it('never shows a secret, right or wrong', () => {
    const password = {
      name: 'A_PASSWORD',
      type: 'text',
      schema: z.string().min(8, 'must have 8 characters'),
      standard: undefined,
      meaning: '',
      secret: true,
      since: '0.1.0',
    } as const
    const problems: string[] = []
    readSettings({ password }, { A_PASSWORD_FILE: file('hunter2') }, problems)
    expect(problems).to.deep.equal(['A_PASSWORD: must have 8 characters'])
    const values = readSettings({ password }, { A_PASSWORD: 'correct horse' }, [])
    expect(values.password).to.equal('correct horse')
    expect(JSON.stringify(shownSettings({ password }, values))).to.equal('{"password":"(hidden)"}')
  })
})
