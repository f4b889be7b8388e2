/** The options that every verb takes, and the client that they describe. */
import { randomBytes } from 'node:crypto'
import { InvalidArgumentError, Option, type Command } from 'commander'
import type { ConsistencyName, Keyspace, Tidemark } from '../client/index.ts'
import { KEY_ENCODINGS, type KeyEncoding } from './text.ts'
import { FORMATS, type Format } from './output.ts'

export interface Globals {
  readonly server: string
  readonly keyspace: string
  readonly consistency?: ConsistencyName
  readonly token?: string
  /** Milliseconds. */
  readonly timeout: number
  readonly output?: Format
  readonly keyEncoding: KeyEncoding
  readonly trace?: true
}

const DEFAULT_SERVER = '127.0.0.1:7400'
const DEFAULT_TIMEOUT_MS = 10_000

export function addGlobalOptions(program: Command): void {
  program
    .addOption(
      new Option('--server <host:port>', 'the node to talk to')
        .env('TIDEMARK_SERVER')
        .default(DEFAULT_SERVER),
    )
    .option('--keyspace <name>', 'the keyspace to work in', 'default')
    .addOption(
      new Option(
        '--consistency <level>',
        'how fresh reads must be (default: linearizable; session with --token)',
      ).choices(['linearizable', 'session', 'eventual']),
    )
    .option('--token <token>', 'reads show at least what this token has seen')
    .addOption(
      new Option('--timeout <duration>', 'give up after this long: 500ms, 10s, 2m')
        .default(DEFAULT_TIMEOUT_MS, '10s')
        .argParser(parseDuration),
    )
    .addOption(
      new Option(
        '-o, --output <format>',
        'default: table on a terminal, raw otherwise (raw: bytes as they are, or tab-separated lines)',
      ).choices(FORMATS),
    )
    .option('--trace', 'has the nodes trace what this command asks for, and tells the id of the trace')
    .addOption(
      new Option(
        '--key-encoding <encoding>',
        'how keys are written on the command line, in tables and in raw lines',
      )
        .choices(KEY_ENCODINGS)
        .default('utf8'),
    )
}

/** Connects, does the work, and closes, whatever happened. */
export async function withClient<T>(
  globals: Globals,
  work: (rows: Keyspace, client: Tidemark) => Promise<T>,
): Promise<T> {
  const { connect } = await import('../client/index.ts')
  const client = connect({
    server: globals.server,
    keyspace: globals.keyspace,
    deadlineMs: globals.timeout,
    consistency: globals.consistency ?? (globals.token === undefined ? 'linearizable' : 'session'),
    retryUnreachable: false,
    ...(globals.trace === true ? { traceparent: newTrace() } : {}),
  })
  try {
    if (globals.token !== undefined) client.observe(globals.token)
    return await work(client, client)
  } finally {
    await client.close()
  }
}

/** One trace for all that the command asks for; it has no span of its own. */
function newTrace(): () => string {
  const traceId = randomBytes(16).toString('hex')
  process.stderr.write(`trace ${traceId}\n`)
  const traceparent = `00-${traceId}-${randomBytes(8).toString('hex')}-01`
  return () => traceparent
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** "500ms", "10s", "1.5h", "30d" → milliseconds. */
export function parseDuration(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  const ms = Math.round(Number(number) * (UNITS[unit] ?? NaN))
  if (!Number.isSafeInteger(ms) || ms < 1) {
    throw new InvalidArgumentError('write a number and its unit: 500ms, 10s, 5m, 1h, 30d')
  }
  return ms
}

/** The same the other way, in the largest unit that says it exactly. */
export function durationText(ms: number): string {
  const [unit = 'ms', size = 1] = Object.entries(UNITS).findLast(([, each]) => ms % each === 0) ?? []
  return `${ms / size}${unit}`
}

export function parseWhole(text: string): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number)) {
    throw new InvalidArgumentError('write a whole number from 0')
  }
  return number
}

/** For what has a default: 0 would silently mean that. */
export function parsePositive(text: string): number {
  const number = parseWhole(text)
  if (number === 0) throw new InvalidArgumentError('write a whole number from 1')
  return number
}

export function parseDelta(text: string): bigint {
  if (!/^[+-]?\d+$/.test(text)) throw new InvalidArgumentError('write a whole number')
  return BigInt(text)
}
