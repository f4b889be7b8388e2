/** cluster transfer, drain and rebuild: who leads what, who leaves, and whose replica is not to be trusted. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, InvalidArgumentError } from 'commander'
import type { Tidemark } from '../client/index.ts'
import { rebuildReplica, proofClient } from '../proof-calls.ts'
import { CommandFailure, EXIT } from './failure.ts'
import { withClient, type Globals } from './options.ts'
import { formatOf, jsonText, writeLine, write } from './output.ts'

/** Milliseconds between two looks at whether a node has left. */
const LOOK_MS = 100

export function registerMoves(cluster: Command): void {
  registerRebuild(cluster)
  cluster
    .command('transfer')
    .description('move the leadership of a partition to another of its replicas')
    .argument('<keyspace>')
    .argument('<partition>', 'its number', parsePartition)
    .option('--to <node>', 'id of the node that shall lead (default: the replica that is furthest)')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark cluster transfer orders 7
  $ tidemark cluster transfer orders 7 --to node-2

Prints the id of the node that leads then. Reads and writes go on meanwhile.`,
    )
    .action(async (keyspace: string, partition: number, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & { readonly to?: string }>()
      const leader = await withClient(options, (_rows, client) =>
        client.transferLeadership(keyspace, partition, options.to),
      )
      const format = formatOf(options)
      if (format === 'json' || format === 'jsonl')
        await write(jsonText({ keyspace, partition, leader }, format))
      else await writeLine(format === 'raw' ? leader : `${leader} leads ${keyspace}/${partition}`)
    })

  cluster
    .command('drain')
    .description('make a node give up what it leads, finish what was begun, and end')
    .argument('<node>', 'its id')
    .option('--no-wait', 'return when it has begun')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark cluster drain node-2
  $ tidemark cluster drain node-2 --timeout 1m

Waits until the node is gone from the map, at most --timeout. Start it again to have it back.`,
    )
    .action(async (node: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & { readonly wait: boolean }>()
      await withClient(options, async (_rows, client) => {
        await client.drain(node)
        if (options.wait) await untilGone(client, node, Date.now() + options.timeout)
      })
    })
}

function registerRebuild(cluster: Command): void {
  cluster
    .command('rebuild')
    .description('have a node throw away its replica of a partition and build it again from the others')
    .argument('<keyspace>')
    .argument('<partition>', 'its number', parsePartition)
    .requiredOption('--node <node>', 'id of the node whose replica is wrong')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark cluster rebuild orders 7 --node node-2
  $ tidemark cluster verify --deep --keyspace orders

For replicas that differ where neither a majority nor the log can say which is right: see the runbook
replicas-disputed. Refused where no other node has a live replica. Returns when it has begun;
tidemark cluster partitions shows how far it is.`,
    )
    .action(async (keyspace: string, partition: number, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & { readonly node: string }>()
      const { node } = options
      const from = await withClient(options, async (_rows, client) => {
        const { nodes } = await client.map()
        const address = nodes.find(({ nodeId }) => nodeId === node)?.address
        if (address === undefined)
          throw new CommandFailure(
            `there is no node ${node}; there are ${nodes.map(({ nodeId }) => nodeId).join(', ')}`,
            EXIT.USAGE,
          )
        const proofs = proofClient(address)
        try {
          return await rebuildReplica(proofs, { keyspace, partition }, Date.now() + options.timeout)
        } finally {
          proofs.close()
        }
      })
      const format = formatOf(options)
      if (format === 'json' || format === 'jsonl')
        await write(jsonText({ keyspace, partition, node, from }, format))
      else await writeLine(`${node} builds ${keyspace}/${partition} again from ${from.join(', ')}`)
    })
}

async function untilGone(client: Tidemark, node: string, deadline: number): Promise<void> {
  const { nodes } = await client.map()
  // Nobody would be left to tell.
  if (nodes.length < 2) return
  while ((await client.map()).nodes.some(({ nodeId }) => nodeId === node)) {
    if (Date.now() > deadline)
      throw new CommandFailure(
        `${node} drains and is still in the map: it finishes what was begun`,
        EXIT.DEADLINE,
      )
    await sleep(LOOK_MS)
  }
}

function parsePartition(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('write the number of a partition, from 0')
  return Number(text)
}
