/** keyspace: named sets of keys, one Kafka topic each. */
import type { Command } from 'commander'
import type { KeyspaceDescription, UpdateKeyspaceOptions } from '../client/index.ts'
import { CommandFailure, EXIT } from './failure.ts'
import {
  durationText,
  parseDuration,
  parsePositive,
  parseWhole,
  withClient,
  type Globals,
} from './options.ts'
import { formatOf, jsonText, tableText, write } from './output.ts'
import { parseKey, printable, printableBytes } from './text.ts'

interface SettingOptions {
  readonly valueBytesMax?: number
  readonly packing?: boolean
  readonly replication?: number
  readonly defaultTtl?: number
}

interface CreateOptions extends SettingOptions {
  readonly partitions?: number
  readonly partitionByPrefix?: string
}

export function registerKeyspace(program: Command): void {
  const keyspace = program
    .command('keyspace')
    .description('create, list, describe, change and delete keyspaces')
  registerCreate(keyspace)
  registerLooks(keyspace)
  registerUpdate(keyspace)
  registerDelete(keyspace)
}

function registerCreate(keyspace: Command): void {
  keyspace
    .command('create')
    .description('create a keyspace; creating it again with the same settings is fine')
    .argument('<name>', "1 to 100 characters of a-z, 0-9, '-', '_' and '.'")
    .option('--partitions <number>', "fixed for ever (default: the node's)", parsePositive)
    .option(
      '--partition-by-prefix <separator>',
      'place keys by the part before this: they can share transactions',
    )
    .option('--replication <number>', "replicas of each partition on nodes (default: the node's)", parseWhole)
    .option(
      '--default-ttl <duration>',
      'of rows written without one: 30m, 7d (default: they stay)',
      parseDuration,
    )
    .option('--value-bytes-max <bytes>', 'the largest value (default: 1 MiB)', parseWhole)
    .option('--no-packing', 'one plain record for each write, for raw consumers of the topic')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark keyspace create orders --partitions 32
  $ tidemark keyspace create sessions --default-ttl 30m
  $ tidemark keyspace create carts --partition-by-prefix /      cart42/a and cart42/b share a partition`,
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & CreateOptions>()
      const created = await withClient(options, (_rows, client) =>
        client.keyspaces.create(name, {
          ...settingsOf(options),
          ...(options.partitions === undefined ? {} : { partitions: options.partitions }),
          ...(options.partitionByPrefix === undefined
            ? {}
            : { partitionByPrefix: parseKey(options.partitionByPrefix, options.keyEncoding) }),
        }),
      )
      await writeKeyspaces([created], options)
    })
}

function registerLooks(keyspace: Command): void {
  keyspace
    .command('list')
    .description('list all keyspaces')
    .addHelpText('after', '\nExamples:\n  $ tidemark keyspace list\n  $ tidemark keyspace list -o jsonl')
    .action(async (_: unknown, command: Command) => {
      const globals = command.optsWithGlobals<Globals>()
      await writeKeyspaces(await withClient(globals, (_rows, client) => client.keyspaces.list()), globals)
    })
  keyspace
    .command('describe')
    .description('show one keyspace')
    .argument('<name>')
    .addHelpText(
      'after',
      '\nExamples:\n  $ tidemark keyspace describe orders\n  $ tidemark keyspace describe orders -o json',
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const globals = command.optsWithGlobals<Globals>()
      const found = await withClient(globals, (_rows, client) => client.keyspaces.describe(name))
      await writeKeyspaces([found], globals)
    })
}

function registerUpdate(keyspace: Command): void {
  keyspace
    .command('update')
    .description('change settings of a keyspace; what is not named stays')
    .argument('<name>')
    .option('--replication <number>', 'replicas of each partition on nodes', parseWhole)
    .option('--default-ttl <duration>', 'of rows written without one from now on', parseDuration)
    .option('--no-default-ttl', 'rows written without one from now on stay')
    .option('--value-bytes-max <bytes>', 'the largest value; may only grow', parseWhole)
    .option('--packing', 'many writes in one record, where they come together')
    .option('--no-packing', 'one plain record for each write, for raw consumers of the topic')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark keyspace update orders --replication 2
  $ tidemark keyspace update sessions --default-ttl 1h
  $ tidemark keyspace update sessions --no-default-ttl

Partitions and the placement of keys cannot be changed. Rows that stand keep the expiry that they have.`,
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<
        Globals & Omit<SettingOptions, 'defaultTtl'> & { readonly defaultTtl?: number | false }
      >()
      const { defaultTtl } = options
      const changes = settingsOf({
        ...options,
        ...(defaultTtl === undefined ? {} : { defaultTtl: defaultTtl === false ? 0 : defaultTtl }),
      } as SettingOptions)
      if (Object.keys(changes).length === 0)
        throw new CommandFailure('name a setting to change: see tidemark keyspace update --help', EXIT.USAGE)
      const updated = await withClient(options, (_rows, client) => client.keyspaces.update(name, changes))
      await writeKeyspaces([updated], options)
    })
}

function registerDelete(keyspace: Command): void {
  keyspace
    .command('delete')
    .description('delete a keyspace with all its rows and its topic, for ever')
    .argument('<name>')
    .option('--confirm <name>', 'the name again; on a terminal it is asked for')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark keyspace delete orders
  $ tidemark keyspace delete orders --confirm orders

The name must be said twice. What is deleted cannot be had back.`,
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & { readonly confirm?: string }>()
      const confirmed = options.confirm ?? (await askAgain(name))
      if (confirmed !== name)
        throw new CommandFailure(
          `nothing was deleted: say the name again with --confirm ${printable(name)}`,
          EXIT.USAGE,
        )
      await withClient(options, (_rows, client) => client.keyspaces.delete(name, confirmed))
    })
}

/** Undefined where there is nobody to ask. */
async function askAgain(name: string): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined
  const { createInterface } = await import('node:readline/promises')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const question = `All rows of keyspace ${printable(name)} and its topic will be gone. Type its name to delete it: `
    return (await terminal.question(question)).trim()
  } finally {
    terminal.close()
  }
}

/** What the command line names. */
const settingsOf = (options: SettingOptions): UpdateKeyspaceOptions => ({
  ...(options.replication === undefined ? {} : { replication: options.replication }),
  ...(options.defaultTtl === undefined ? {} : { defaultTtlMs: options.defaultTtl }),
  ...(options.valueBytesMax === undefined ? {} : { valueBytesMax: options.valueBytesMax }),
  ...(options.packing === undefined ? {} : { packingDisabled: !options.packing }),
})

async function writeKeyspaces(keyspaces: readonly KeyspaceDescription[], globals: Globals): Promise<void> {
  const format = formatOf(globals)
  const json = keyspaces.map((keyspace) => ({
    name: keyspace.name,
    topic: keyspace.topic,
    partitions: keyspace.partitions,
    partition_by_prefix: printableBytes(keyspace.partitionByPrefix),
    value_bytes_max: keyspace.valueBytesMax,
    packing: !keyspace.packingDisabled,
    replication: keyspace.replication,
    default_ttl_ms: keyspace.defaultTtlMs,
  }))
  if (format === 'json') return write(jsonText(json, format))
  if (format === 'jsonl') return write(json.map((keyspace) => jsonText(keyspace, format)).join(''))
  const rows = json.map((keyspace) => [
    keyspace.name,
    keyspace.topic,
    String(keyspace.partitions),
    keyspace.partition_by_prefix === '' ? 'key' : `prefix ${keyspace.partition_by_prefix}`,
    String(keyspace.value_bytes_max),
    keyspace.packing ? 'packs' : 'plain',
    keyspace.replication === 0 ? '-' : String(keyspace.replication),
    keyspace.default_ttl_ms === 0 ? '-' : durationText(keyspace.default_ttl_ms),
  ])
  if (format === 'raw') return write(rows.map((row) => `${row.join('\t')}\n`).join(''))
  return write(tableText(HEADINGS, rows))
}

const HEADINGS = [
  'NAME',
  'TOPIC',
  'PARTITIONS',
  'PLACED BY',
  'VALUE BYTES MAX',
  'RECORDS',
  'REPLICATION',
  'DEFAULT TTL',
]
