/** The table of settings: name, type, default and meaning of each. config.ts reads them, the docs are made from them. */
import { z } from 'zod'
import { PARTITIONS_MAX } from '../../streams/core/limits.ts'
import { type Address, parseAddress } from './address.ts'
import { KAFKA_SETTINGS } from './kafka-settings.ts'
import { flag, setting } from './setting.ts'
import { TRACE_SETTINGS } from './trace-settings.ts'

const whole = (least: number, most: number): z.ZodType<number, string> =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value >= least && value <= most, `must be ${least} to ${most}`)

const address = z.string().transform((text, context): Address => {
  const found = parseAddress(text)
  if (found !== undefined) return found
  context.addIssue('must be host:port, such as 127.0.0.1:7400 or [::1]:7400')
  return z.NEVER
})

const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
    'must be 1 to 100 of A-Z a-z 0-9 . _ -, beginning with a letter or digit',
  )

export const SETTINGS = {
  log: setting(
    'TIDEMARK_LOG',
    'embedded | kafka',
    z.enum(['embedded', 'kafka'], 'must be embedded or kafka'),
    'embedded',
    'where the log is: in the data directory of this process, or on Kafka',
  ),
  ...KAFKA_SETTINGS,
  dataDirectory: setting(
    'TIDEMARK_DATA_DIR',
    'path',
    z.string().min(1, 'must be a path'),
    './data',
    'holds the replicas (they can be built again from the log), and the embedded log itself (it cannot)',
  ),
  cluster: setting(
    'TIDEMARK_CLUSTER',
    'name',
    name,
    'tidemark',
    'prefix of the topics: <cluster>.<keyspace>',
    { example: 'orders-production' },
  ),
  nodeId: setting(
    'TIDEMARK_NODE_ID',
    'name',
    name,
    undefined,
    'name of this node, unlike that of any other; unset: a random one that is kept in the data directory',
    { example: 'tidemark-0' },
  ),
  zone: setting(
    'TIDEMARK_ZONE',
    'name',
    z.string().regex(/^[A-Za-z0-9._-]{0,100}$/, 'must be up to 100 of A-Z a-z 0-9 . _ -'),
    '',
    'failure domain of this node, such as an availability zone: replicas of a partition are spread over zones',
    { example: 'eu-central-1a' },
  ),
  grpcListen: setting(
    'TIDEMARK_GRPC_LISTEN',
    'host:port',
    address,
    '127.0.0.1:7400',
    'serves gRPC; port 0 = any',
  ),
  grpcAdvertise: setting(
    'TIDEMARK_GRPC_ADVERTISE',
    'host:port',
    address,
    undefined,
    'where clients and other nodes reach this one; unset: as it listens',
    { example: 'tidemark-0.tidemark-headless:7400' },
  ),
  httpListen: setting(
    'TIDEMARK_HTTP_LISTEN',
    'host:port',
    address,
    '127.0.0.1:7480',
    'serves /livez, /readyz and /metrics; port 0 = any',
  ),
  partitions: setting(
    'TIDEMARK_PARTITIONS',
    `1 to ${PARTITIONS_MAX}`,
    whole(1, PARTITIONS_MAX),
    '16',
    'partitions of new keyspaces that do not say otherwise; fixed for ever once a keyspace is there',
  ),
  replication: setting(
    'TIDEMARK_REPLICATION',
    '1 to 100',
    whole(1, 100),
    '3',
    'copies that Kafka keeps of the topics of new keyspaces',
  ),
  dev: setting(
    'TIDEMARK_DEV',
    '0 | 1',
    flag,
    '0',
    'development: serves topics that can lose acknowledged writes, and makes them with one copy',
  ),
  connectionAgeMs: setting(
    'TIDEMARK_GRPC_CONNECTION_AGE_MS',
    'milliseconds',
    whole(0, 2 ** 31 - 2),
    '0',
    'closes connections of this age gracefully, so that clients spread over new nodes; 0 = never',
  ),
  snapshotUrl: setting(
    'TIDEMARK_SNAPSHOT_URL',
    'file:///path | s3://bucket/prefix',
    z.string().regex(/^(file:\/\/\/.+|s3:\/\/[^/]+(\/.*)?)$/, 'must be file:///path or s3://bucket/prefix'),
    undefined,
    'where snapshots are; a directory must be the same for all nodes, such as a network share',
    { example: 's3://backups/tidemark' },
  ),
  snapshotS3Endpoint: setting(
    'TIDEMARK_SNAPSHOT_S3_ENDPOINT',
    'http://host:port',
    z.url({ protocol: /^https?$/, error: 'must be a URL with http or https' }),
    undefined,
    "an S3 server that is not Amazon's; region and credentials come from AWS_REGION, AWS_ACCESS_KEY_ID … as all AWS tools have them",
    { example: 'http://minio:9000' },
  ),
  verifyMs: setting(
    'TIDEMARK_VERIFY_INTERVAL_MS',
    'milliseconds',
    whole(0, 366 * 24 * 3600 * 1000),
    String(24 * 3600 * 1000),
    'after this long the leader of a partition has all its replicas hash what they hold and compare it; 0 = never by itself',
  ),
  logLevel: setting(
    'TIDEMARK_LOG_LEVEL',
    'trace | debug | info | warn | error | fatal | silent',
    z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'must be a level of pino'),
    'info',
    'the least level that is logged; SIGUSR2 switches a running node to debug and back',
  ),
  logFormat: setting(
    'TIDEMARK_LOG_FORMAT',
    'json | ecs',
    z.enum(['json', 'ecs'], 'must be json or ecs'),
    'json',
    "form of the lines: pino's, or Elastic's Common Schema; on a terminal they are plain in any case",
  ),
  datadogHost: setting(
    'DD_AGENT_HOST',
    'host',
    z.string(),
    undefined,
    'sends metrics to the Datadog agent there (DogStatsD); DD_ENV, DD_SERVICE, DD_VERSION and DD_TAGS become tags',
    { example: 'datadog-agent' },
  ),
  datadogUrl: setting(
    'DD_DOGSTATSD_URL',
    'udp://host:port | unix:///path',
    z.string(),
    undefined,
    'the same by address',
    { example: 'unix:///var/run/datadog/dsd.socket' },
  ),
  ...TRACE_SETTINGS,
} as const

/** Names that other programs of Tidemark read from the same environment. */
export const OTHER_NAMES = ['TIDEMARK_SERVER', 'TIDEMARK_CACHE_DIR', 'TIDEMARK_FAILPOINT'] as const
