/**
 * kafkajs, as this project uses it: sockets with TLS and SASL, framing, correlation, timeouts, and the admin requests.
 * What goes over them in the data, append and read-index planes is our own (protocol.ts). A channel is one connection to
 * one broker; each user has channels of its own, because a broker serves the requests of a connection one after the other.
 *
 * kafkajs is frozen at 2.2.4 (pinned exactly), so that leaning on its inner objects is safe: the `cluster` that it hands
 * to an assigner's factory makes connection pools and brokers for any address, and is itself never connected.
 */
import { createRequire } from 'node:module'
import { connect as connectPlain, isIP } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { Kafka, logLevel, type ISocketFactory, type SASLOptions } from 'kafkajs'
import { must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import { KAFKA_CONNECT_MS } from '../../core/limits.ts'
import type { Meters } from '../../meters.ts'
import { VERSIONS_NEEDED, type ApiCall } from './protocol.ts'
import { requestMeter, type RequestMeter } from './request-meter.ts'
import { WireReader } from './wire.ts'

export interface ConnectionSettings {
  readonly clientId: string
  /** True for TLS with the system's roots, or Node's options of a TLS connection. */
  readonly ssl?: boolean | ConnectionOptions | undefined
  readonly sasl?: SASLOptions | undefined
  /** Counts the requests; none by default. */
  readonly meters?: Meters | undefined
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** One connection to one broker. Connects at the first use, and again after a fault. */
export interface Channel {
  /** @throws LOG_UNAVAILABLE when the broker cannot be reached or does not answer within the time; CONFIG_INVALID when it never will. */
  call<T>(call: ApiCall<T>, timeoutMs: number): Promise<T>
  /** kafkajs' own requests. Errors of the protocol come as kafkajs throws them, others as above. */
  admin<T>(use: (broker: AdminBroker) => Promise<T>): Promise<T>
  close(): void
}

/** The requests of kafkajs' Broker that are used; its public types leave out what they return. */
export interface AdminBroker {
  createTopics(request: {
    topics: {
      topic: string
      numPartitions: number
      replicationFactor: number
      configEntries: { name: string; value: string }[]
    }[]
    timeout: number
  }): Promise<unknown>
  deleteTopics(request: { topics: string[]; timeout: number }): Promise<unknown>
  deleteRecords(request: {
    topics: { topic: string; partitions: { partition: number; offset: string }[] }[]
  }): Promise<unknown>
  describeConfigs(request: {
    resources: { type: number; name: string; configNames: string[] }[]
  }): Promise<{ resources: { configEntries: { configName: string; configValue: string | null }[] }[] }>
}

interface Connection {
  send(protocol: object): Promise<unknown>
  rejectRequests(error: Error): void
}

interface ConnectionPool {
  readonly pool: readonly Connection[]
  getConnection(index: number): Promise<Connection>
}

interface Broker extends AdminBroker {
  readonly versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>>
  readonly connectionPool: ConnectionPool
  connect(): Promise<void>
  disconnect(): Promise<void>
}

interface CapturedCluster {
  readonly rootLogger: unknown
  readonly connectionPoolBuilder: { build(address: Address): Promise<ConnectionPool> }
  readonly brokerPool: { createBroker(options: { connectionPool: ConnectionPool; logger: unknown }): Broker }
}

const require = createRequire(import.meta.url)

/**
 * kafkajs arms a timer in each connection that fires for ever with a negative delay (its issues 1556 and 1751): 900
 * wake-ups a second, and a warning on Node 24. It is needed only while requests wait in the queue.
 */
function calmRequestQueue(): void {
  interface Queue {
    pending: readonly unknown[]
    scheduleCheckPendingRequests(): void
  }
  const { prototype } = require('kafkajs/src/network/requestQueue') as { prototype: Queue }
  const schedule = prototype.scheduleCheckPendingRequests
  prototype.scheduleCheckPendingRequests = function (this: Queue): void {
    if (this.pending.length > 0) schedule.call(this)
  }
}
calmRequestQueue()

const { createErrorFromCode } = require('kafkajs/src/protocol/error') as {
  createErrorFromCode(code: number): { type: string; message: string }
}

/** What a code of the protocol means, for messages. */
export function describeCode(code: number): string {
  const { type, message } = createErrorFromCode(code)
  return type === 'KAFKAJS_UNKNOWN_ERROR_CODE' ? `error ${code}` : `${type}: ${message}`
}

/** kafkajs sets no TCP_NODELAY: the last segment of a large request would wait for the peer's delayed ack. */
const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  // Typed as options, but true, false and null come too.
  const options = ssl as ConnectionOptions | boolean | null | undefined
  const plain = options === undefined || options === null || options === false
  const socket = plain
    ? connectPlain({ host, port }, onConnect)
    : connectTls(
        {
          host,
          port,
          ...(isIP(host) === 0 ? { servername: host } : {}),
          ...(options === true ? {} : options),
        },
        onConnect,
      )
  socket.setKeepAlive(true, 30_000)
  socket.setNoDelay(true)
  return socket
}

export interface Transport {
  channel(address: Address): Channel
}

/** Silent: our own messages say once what matters, where kafkajs logs each attempt with its stack. */
export function kafkaClient(
  brokers: readonly string[],
  settings: ConnectionSettings,
  requestMs: number,
): Kafka {
  return new Kafka({
    brokers: [...brokers],
    clientId: settings.clientId,
    ...(settings.ssl === undefined ? {} : { ssl: settings.ssl }),
    ...(settings.sasl === undefined ? {} : { sasl: settings.sasl }),
    connectionTimeout: KAFKA_CONNECT_MS,
    requestTimeout: requestMs,
    retry: { retries: 2, initialRetryTime: 50, maxRetryTime: 500 },
    socketFactory,
    logLevel: logLevel.NOTHING,
  })
}

/** `requestMs` is the least time after which a request without an answer fails; a call may give a longer one. */
export function createTransport(settings: ConnectionSettings, requestMs: number): Transport {
  const cluster = captureCluster(kafkaClient(['unused:0'], settings, requestMs))
  const meter = requestMeter(settings.meters)
  return { channel: (address) => createChannel(cluster, address, requestMs, meter) }
}

function captureCluster(kafka: Kafka): CapturedCluster {
  let captured: unknown
  // The factory runs in the constructor of the consumer, which is dropped without having connected.
  kafka.consumer({
    groupId: 'unused',
    partitionAssigners: [
      ({ cluster }) => {
        captured = cluster
        const protocol = { name: 'unused', metadata: Buffer.alloc(0) }
        return { name: 'unused', version: 0, assign: () => Promise.resolve([]), protocol: () => protocol }
      },
    ],
  })
  return must(captured, "kafkajs' cluster object") as CapturedCluster
}

function createChannel(
  cluster: CapturedCluster,
  address: Address,
  requestMs: number,
  meter: RequestMeter,
): Channel {
  const name = `${address.host}:${address.port}`
  let opening: Promise<Broker> | undefined
  let opened: Broker | undefined
  let closed = false

  const open = async (): Promise<Broker> => {
    const connectionPool = await cluster.connectionPoolBuilder.build(address)
    const broker = cluster.brokerPool.createBroker({ connectionPool, logger: cluster.rootLogger })
    try {
      await broker.connect()
      checkVersions(name, broker.versions)
      if (closed) throw new Error('the connection was closed')
    } catch (caught) {
      discard(broker)
      throw caught
    }
    return broker
  }

  const connected = async (): Promise<Broker> => {
    if (closed) throw new Error('the connection was closed')
    if (opened !== undefined) return opened
    opening ??= open()
    const attempt = opening
    try {
      // The versions, and with SASL some requests more, each with a timer of its own.
      const broker = await within(attempt, KAFKA_CONNECT_MS + 4 * requestMs)
      if (opening !== attempt) throw new Error('the connection was lost')
      opened = broker
      meter.opened()
      return broker
    } catch (caught) {
      if (opening === attempt) {
        opening = undefined
        attempt.then(discard, () => undefined)
      }
      throw caught
    }
  }

  const use = async <T>(work: (broker: Broker) => Promise<T>, timeoutMs: number): Promise<T> => {
    let broker: Broker | undefined
    try {
      broker = await connected()
      return await within(work(broker), timeoutMs)
    } catch (caught) {
      if (caught instanceof TidemarkError) throw caught
      if (broker !== undefined && !isTransportFault(caught)) throw caught
      if (broker !== undefined && broker === opened) drop()
      throw unreachableBroker(name, caught)
    }
  }

  const drop = (): void => {
    const broker = opened
    opened = undefined
    opening = undefined
    if (broker === undefined) return
    meter.closed()
    discard(broker)
  }

  return {
    call: (call, timeoutMs) =>
      meter.request(
        call.apiName,
        use((broker) => send(broker, call, timeoutMs), Math.max(timeoutMs, requestMs) + LATE_MS),
      ),
    // Some of them take longer by themselves than others.
    admin: (work) => meter.request('Admin', use(work, 2 * requestMs + LATE_MS)),
    close() {
      closed = true
      drop()
    },
  }
}

/** Milliseconds after the timer of kafkajs should have ended a request. */
const LATE_MS = 500

/**
 * kafkajs stops its timers when it begins to close a connection, and takes requests until it has closed it: one that slips in between is
 * never answered where the other side stands still or the way to it is cut. So each wait has an end of its own.
 */
async function within<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${milliseconds} ms`))
    }, milliseconds)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

async function send<T>(broker: Broker, call: ApiCall<T>, timeoutMs: number): Promise<T> {
  const connection = await broker.connectionPool.getConnection(0)
  const { apiKey, apiVersion, apiName, body, decode } = call
  const result = await connection.send({
    // kafkajs takes an Encoder of its own here, of which it looks at these two fields.
    request: { apiKey, apiVersion, apiName, encode: () => Promise.resolve({ buf: body, buffer: body }) },
    response: {
      decode: (payload: Buffer) => {
        const reader = new WireReader(payload)
        reader.tags() // response header version 1
        return Promise.resolve(decode(reader))
      },
      parse: (decoded: T) => Promise.resolve(decoded),
    },
    requestTimeout: timeoutMs,
    logResponseError: false,
  })
  return result as T
}

function discard(broker: Broker): void {
  // Without this kafkajs would wait for the answers to requests in flight before it closes the socket.
  for (const connection of broker.connectionPool.pool) {
    connection.rejectRequests(new Error('the connection was closed'))
  }
  broker.disconnect().catch(() => undefined)
}

function checkVersions(name: string, versions: Broker['versions']): void {
  for (const { apiKey, apiName, version } of VERSIONS_NEEDED) {
    const offered = versions[apiKey]?.maxVersion ?? -1
    if (offered < version) {
      throw new TidemarkError(
        'CONFIG_INVALID',
        `The Kafka broker at ${name} offers ${apiName} up to version ${offered}, and Tidemark needs ${version}. Use Apache Kafka 3.1 or newer.`,
      )
    }
  }
}

const TRANSPORT_FAULTS = new Set([
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSLockTimeout',
])

/** Anything that says nothing about the request itself; also an answer that cannot be decoded, or a closed channel. */
const isTransportFault = (caught: unknown): boolean =>
  !(caught instanceof Error) || TRANSPORT_FAULTS.has(caught.name) || !caught.name.startsWith('KafkaJS')

function unreachableBroker(name: string, cause: unknown): TidemarkError {
  const why = cause instanceof Error ? cause.message : String(cause)
  if (cause instanceof Error && cause.name === 'KafkaJSSASLAuthenticationError') {
    return new TidemarkError(
      'CONFIG_INVALID',
      `The Kafka broker at ${name} refuses the credentials: ${why}.`,
      { cause },
    )
  }
  return new TidemarkError('LOG_UNAVAILABLE', `The Kafka broker at ${name} cannot be used: ${why}.`, {
    cause,
  })
}
