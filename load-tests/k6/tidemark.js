/**
 * One operation on a Tidemark, as all scripts here make it: a read, or now and then a write, of one of KEYS rows. What they are told comes
 * from the environment (`-e NAME=value`); README.md lists it. k6 runs this file, not Node.
 */
import { check, fail } from 'k6'
import encoding from 'k6/encoding'
import grpc from 'k6/net/grpc'

const text = (name, otherwise) => __ENV[name] || otherwise
const number = (name, otherwise) => Number(text(name, otherwise))
const file = (name) => (__ENV[name] ? open(__ENV[name]) : undefined)

const SERVERS = text('SERVER', '127.0.0.1:7400').split(',')
const KEYSPACE = text('KEYSPACE', 'default')
const KEYS = number('KEYS', 1000)
const VALUE_BYTES = number('VALUE_BYTES', 100)
const READS = number('READS', 0.9)
const CONSISTENCY = `CONSISTENCY_${text('CONSISTENCY', 'linearizable').toUpperCase()}`
const HEADERS = __ENV.TOKEN ? { authorization: `Bearer ${__ENV.TOKEN}` } : {}
const TLS = {
  cacerts: file('CA_FILE'),
  cert: file('CERT_FILE'),
  key: file('KEY_FILE'),
}

/** Operations in a second; what each script makes of it, it says. */
export const RATE = number('RATE', 200)
/** Milliseconds that 99 of 100 operations may take at most. */
export const P99_MS = number('P99_MS', 50)

/** "90s" times SCALE: with SCALE=0.05 a script can be tried in a twentieth of its time. */
export function lasting(duration) {
  const [, count, unit] = /^(\d+)([smh])$/.exec(duration)
  return `${Math.max(1, Math.round(Number(count) * { s: 1, m: 60, h: 3600 }[unit] * number('SCALE', 1)))}s`
}

/** k6 needs one VU for each operation that is on its way: they are made when they are needed, and a rate that runs out of them is too much. */
export const VUS = { preAllocatedVUs: 20, maxVUs: number('VUS', 500) }

/** Of both kinds of operation: how long, how many failed; and all that were due were made. */
export const thresholds = ({ p99Ms = P99_MS, failed = 0, dropped = true } = {}) => ({
  'grpc_req_duration{operation:get}': [`p(99)<${p99Ms}`],
  'grpc_req_duration{operation:put}': [`p(99)<${p99Ms}`],
  checks: [`rate>=${1 - failed}`],
  ...(dropped ? { dropped_iterations: ['count==0'] } : {}),
})

export const summaryTrendStats = ['min', 'med', 'p(90)', 'p(99)', 'p(99.9)', 'max']

const client = new grpc.Client()
client.load(['../../proto'], 'tidemark/v1/key_value_service.proto')
const VALUE = encoding.b64encode('v'.repeat(VALUE_BYTES))
let connected = false

function call(method, request, operation) {
  if (!connected) {
    const server = SERVERS[__VU % SERVERS.length]
    const tls = Object.values(TLS).some((pem) => pem !== undefined) || __ENV.TLS === '1'
    client.connect(server, tls ? { tls: __ENV.TLS === '1' ? {} : TLS } : { plaintext: true })
    connected = true
  }
  const full = { keyspace: KEYSPACE, ...request }
  return client.invoke(`tidemark.v1.KeyValueService/${method}`, full, {
    metadata: HEADERS,
    tags: { operation },
    timeout: '10s',
  })
}

const keyOf = (row) => encoding.b64encode(`k6:${String(row).padStart(12, '0')}`)
const put = (row, operation) => call('Put', { key: keyOf(row), value: VALUE }, operation)
const said = ({ error }) => JSON.stringify(error)

/** Every row is there before the first read; not measured. */
export function setup() {
  for (let row = 0; row < KEYS; row += 1) {
    const answer = put(row, 'setup')
    if (answer.status !== grpc.StatusOK) fail(`${SERVERS[0]} took no row: ${said(answer)}`)
  }
  client.close()
}

export function operation() {
  const row = Math.floor(Math.random() * KEYS)
  if (Math.random() >= READS) {
    const answer = put(row, 'put')
    check(answer, {
      'the put was applied': ({ status, message }) => status === grpc.StatusOK && message.outcome.applied,
    })
    return
  }
  const answer = call('Get', { key: keyOf(row), consistency: CONSISTENCY }, 'get')
  check(answer, {
    'the get found its row': ({ status, message }) => status === grpc.StatusOK && message.row !== null,
  })
}
