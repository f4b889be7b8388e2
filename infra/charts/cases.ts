/** Values that the chart is rendered with in checks: those of its examples, and combinations that no example has. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { CHART } from './generated.ts'
import type { Values } from './render.ts'

export const KAFKA: Values = { kafka: { brokers: ['kafka-0.kafka:9092', 'kafka-1.kafka:9092'] } }

const COMBINATIONS: Readonly<Record<string, Values>> = {
  'the least that Kafka needs': KAFKA,
  'every way to be somebody to Kafka': {
    kafka: {
      brokers: ['[2001:db8::1]:9094'],
      tls: {
        enabled: true,
        ca: { existingSecret: 'authority', key: 'ca.pem' },
        client: { existingSecret: 'user', passphraseKey: 'user.password' },
      },
      sasl: { mechanism: 'plain', username: 'tide', existingSecret: 'user' },
    },
    dev: true,
  },
  'no volumes, no names, no limits to the network': {
    ...KAFKA,
    fullnameOverride: 'a-name-that-is-far-longer-than-a-statefulset-can-have',
    persistence: { enabled: false },
    networkPolicy: { enabled: false },
    podDisruptionBudget: { enabled: false },
    serviceAccount: { create: false },
    zone: { name: 'a', fromPodLabel: '' },
  },
  'snapshots on a share, more of everything': {
    ...KAFKA,
    nameOverride: 'store',
    commonLabels: { team: 'shore' },
    image: { digest: `sha256:${'a'.repeat(64)}`, pullPolicy: 'Always', pullSecrets: [{ name: 'registry' }] },
    settings: { TIDEMARK_GRPC_CONNECTION_AGE_MS: 600000 },
    snapshots: {
      url: 'file:///snapshots/tidemark',
      existingClaim: 'share',
      schedule: { enabled: true, trim: true, timeZone: 'Europe/Berlin' },
    },
    keyspaces: [
      {
        name: 'a',
        partitions: 8,
        replication: 2,
        partitionByPrefix: '/',
        defaultTtl: '30m',
        valueBytesMax: 4194304,
      },
      { name: 'b', packing: false },
    ],
    service: { type: 'LoadBalancer', annotations: { a: 'b' }, trafficDistribution: 'PreferClose' },
    networkPolicy: { grpcFrom: [], httpFrom: [], egress: [{}] },
    podAnnotations: { c: 'd' },
    podLabels: { e: 'f' },
    priorityClassName: 'high',
    tolerations: [{ key: 'store', operator: 'Exists' }],
    affinity: { nodeAffinity: {} },
    extraEnv: [{ name: 'AWS_MAX_ATTEMPTS', value: '5' }],
    extraVolumes: [{ name: 'more', emptyDir: {} }],
    extraVolumeMounts: [{ name: 'more', mountPath: '/more' }],
    sidecars: [{ name: 'beside', image: 'beside:1' }],
    extraObjects: [
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: '{{ .Release.Name }}-more' },
        data: { a: 'b' },
      },
      'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include "tidemark.fullname" . }}-text\n',
    ],
  },
  traces: {
    ...KAFKA,
    traces: {
      endpoint: 'https://otlp.example:4318',
      sampler: 'parentbased_always_on',
      ratio: 0.5,
      headers: { existingSecret: 'otlp' },
    },
  },
  'Datadog that reads logs alone': { ...KAFKA, datadog: { enabled: true, env: 'test', metrics: false } },
  'Datadog by a socket': {
    ...KAFKA,
    datadog: { enabled: true, env: 'test', dogstatsdUrl: 'unix:///var/run/datadog/dsd.socket', logs: false },
  },
  'autoscaling on lag, watched by the Prometheus operator': {
    ...KAFKA,
    autoscaling: { mode: 'keda' },
    metrics: {
      serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
      prometheusRule: { enabled: true },
      dashboards: { enabled: true },
    },
  },
  'autoscaling on CPU': { ...KAFKA, autoscaling: { mode: 'hpa', minNodes: 3, maxNodes: 4 } },
}

export async function cases(): Promise<ReadonlyMap<string, Values>> {
  const folder = join(CHART, 'examples')
  const found = new Map(Object.entries(COMBINATIONS))
  for (const name of (await readdir(folder)).sort()) {
    const values: unknown = parse(await readFile(join(folder, name), 'utf8'))
    found.set(`examples/${name}`, z.record(z.string(), z.unknown()).parse(values))
  }
  return found
}

/** Values that are refused, and what is said of them. */
export const REFUSED: readonly (readonly [what: string, values: Values, said: RegExp])[] = [
  ['no broker', {}, /at '\/kafka\/brokers': minItems/],
  ['a broker without a port', { kafka: { brokers: ['kafka'] } }, /at '\/kafka\/brokers\/0'/],
  [
    'a name that is not there',
    { ...KAFKA, replicaCount: 3 },
    /additional properties 'replicaCount' not allowed/,
  ],
  [
    'a name further down',
    { ...KAFKA, rollout: { surge: 1 } },
    /at '\/rollout': additional properties 'surge'/,
  ],
  [
    'two ways to scale',
    { ...KAFKA, autoscaling: { mode: 'both' } },
    /\/autoscaling\/mode': value must be one of 'none', 'hpa', 'keda'/,
  ],
  ['several nodes without Kafka', { log: 'embedded' }, /at '\/nodes': value must be 1/],
  [
    'scaling without Kafka',
    { log: 'embedded', nodes: 1, autoscaling: { mode: 'hpa' } },
    /at '\/autoscaling\/mode'/,
  ],
  [
    'a mechanism that Kafka has and a node has not',
    { kafka: { brokers: ['a:1'], sasl: { mechanism: 'gssapi', existingSecret: 'a' } } },
    /at '\/kafka\/sasl\/mechanism'/,
  ],
  [
    'a password that is nowhere',
    { kafka: { brokers: ['a:1'], sasl: { mechanism: 'plain' } } },
    /at '\/kafka\/sasl\/existingSecret': minLength/,
  ],
  [
    'a password for nothing',
    { kafka: { brokers: ['a:1'], sasl: { existingSecret: 'a' } } },
    /at '\/kafka\/sasl\/existingSecret'/,
  ],
  [
    'an authority without TLS',
    { kafka: { brokers: ['a:1'], tls: { ca: { existingSecret: 'a' } } } },
    /at '\/kafka\/tls\/ca\/existingSecret'/,
  ],
  [
    'a password in the values',
    { kafka: { brokers: ['a:1'], sasl: { password: 'a' } } },
    /additional properties 'password' not allowed/,
  ],
  [
    'a setting that is not there',
    { ...KAFKA, settings: { TIDEMARK_COLOUR: 'blue' } },
    /at '\/settings': additional properties 'TIDEMARK_COLOUR' not allowed/,
  ],
  [
    'a setting that has a value of its own',
    { ...KAFKA, settings: { TIDEMARK_PARTITIONS: 3 } },
    /at '\/settings': additional properties 'TIDEMARK_PARTITIONS' not allowed/,
  ],
  [
    'a setting as if it were another variable',
    { ...KAFKA, extraEnv: [{ name: 'TIDEMARK_DEV', value: '1' }] },
    /at '\/extraEnv\/0\/name'/,
  ],
  ['too many partitions', { ...KAFKA, partitions: 1025 }, /at '\/partitions': maximum/],
  ['text for a number', { ...KAFKA, partitions: '16' }, /at '\/partitions': got string, want integer/],
  [
    'a keyspace without a name',
    { ...KAFKA, keyspaces: [{ partitions: 3 }] },
    /at '\/keyspaces\/0': missing property 'name'/,
  ],
  [
    'snapshots that go nowhere',
    { ...KAFKA, snapshots: { schedule: { enabled: true } } },
    /at '\/snapshots\/url': minLength/,
  ],
  [
    'snapshots of a kind that is not there',
    { ...KAFKA, snapshots: { url: 'gs://a' } },
    /at '\/snapshots\/url'/,
  ],
  ['traces that go nowhere', { ...KAFKA, traces: { endpoint: 'jaeger:4318' } }, /at '\/traces\/endpoint'/],
  [
    'traces of an unknown sampler',
    { ...KAFKA, traces: { sampler: 'traceidratio' } },
    /at '\/traces\/sampler'/,
  ],
  [
    'Datadog without an environment',
    { ...KAFKA, datadog: { enabled: true } },
    /at '\/datadog\/env': minLength/,
  ],
  ['fewer nodes than copies', { ...KAFKA, nodes: 2 }, /2 nodes cannot hold 3 copies/],
  [
    'fewer nodes than copies, scaled',
    { ...KAFKA, autoscaling: { mode: 'hpa', minNodes: 1 } },
    /1 nodes cannot hold 3 copies/,
  ],
  ['a scale upside down', { ...KAFKA, autoscaling: { mode: 'hpa', maxNodes: 2 } }, /maxNodes is less than/],
  ['a budget that takes all copies', { ...KAFKA, podDisruptionBudget: { maxUnavailable: 3 } }, /at most 2/],
  [
    'no time to drain',
    { ...KAFKA, rollout: { preStopSeconds: 30, terminationGracePeriodSeconds: 45 } },
    /must be at least 50/,
  ],
  ['a share that is not mounted', { ...KAFKA, snapshots: { url: 'file:///a' } }, /snapshots.existingClaim/],
]
