/** keyspace: named sets of keys, one Kafka topic each. */
import type { Command } from 'commander'
import type { KeyspaceDescription } from '../client/index.ts'
import { parseWhole, withClient, type Globals } from './options.ts'
import { formatOf, jsonText, tableText, write } from './output.ts'
import { parseKey, printableBytes } from './text.ts'

interface CreateOptions {
  readonly partitions?: number
  readonly partitionByPrefix?: string
  readonly valueBytesMax?: number
  readonly packing: boolean
}

export function registerKeyspace(program: Command): void {
  const keyspace = program
    .command('keyspace')
    .description('create, list, describe, change and delete keyspaces')
  keyspace
    .command('create')
    .description('create a keyspace; creating it again with the same settings is fine')
    .argument('<name>', "1 to 100 characters of a-z, 0-9, '-', '_' and '.'")
    .option('--partitions <number>', "fixed for ever (default: the node's)", parseWhole)
    .option(
      '--partition-by-prefix <separator>',
      'place keys by the part before this: they can share transactions',
    )
    .option('--value-bytes-max <bytes>', 'the largest value (default: 1 MiB)', parseWhole)
    .option('--no-packing', 'one plain record for each write, for raw consumers of the topic')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark keyspace create orders --partitions 32
  $ tidemark keyspace create carts --partition-by-prefix /      cart42/a and cart42/b share a partition`,
    )
    .action(async (name: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & CreateOptions>()
      const created = await withClient(options, (_rows, client) =>
        client.keyspaces.create(name, {
          ...(options.partitions === undefined ? {} : { partitions: options.partitions }),
          ...(options.partitionByPrefix === undefined
            ? {}
            : { partitionByPrefix: parseKey(options.partitionByPrefix, options.keyEncoding) }),
          ...(options.valueBytesMax === undefined ? {} : { valueBytesMax: options.valueBytesMax }),
          packingDisabled: !options.packing,
        }),
      )
      await writeKeyspaces([created], options)
    })
  keyspace
    .command('list')
    .description('list all keyspaces')
    .addHelpText('after', '\nExamples:\n  $ tidemark keyspace list\n  $ tidemark keyspace list -o jsonl')
    .action(async (_: unknown, command: Command) => {
      const globals = command.optsWithGlobals<Globals>()
      await writeKeyspaces(await withClient(globals, (_rows, client) => client.keyspaces.list()), globals)
    })
}

async function writeKeyspaces(keyspaces: readonly KeyspaceDescription[], globals: Globals): Promise<void> {
  const format = formatOf(globals)
  const json = keyspaces.map((keyspace) => ({
    name: keyspace.name,
    topic: keyspace.topic,
    partitions: keyspace.partitions,
    partition_by_prefix: printableBytes(keyspace.partitionByPrefix),
    value_bytes_max: keyspace.valueBytesMax,
    packing: !keyspace.packingDisabled,
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
  ])
  if (format === 'raw') return write(rows.map((row) => `${row.join('\t')}\n`).join(''))
  return write(tableText(['NAME', 'TOPIC', 'PARTITIONS', 'PLACED BY', 'VALUE BYTES MAX', 'RECORDS'], rows))
}
