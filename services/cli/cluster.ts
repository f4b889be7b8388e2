/** cluster: what the nodes say, all of them side by side. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { TidemarkError } from '../../streams/core/errors.ts'
import type { Tidemark } from '../client/index.ts'
import { registerMoves } from './cluster-moves.ts'
import { headline, nodesTable, partitionsTable, writeNodes, writePartitions } from './cluster-tables.ts'
import { verifyReplicas } from './cluster-verify.ts'
import { verifyContents } from './verify-deep.ts'
import { parseDuration, parseWhole, withClient, type Globals } from './options.ts'
import { formatOf, write } from './output.ts'
import { type Survey, nodeLines, partitionLines, surveyOf, surveyOfOne } from './survey.ts'

/** Milliseconds between two pictures of `watch`. */
const WATCH_MS = 1000
/** Milliseconds that a node gets to say what it has: one that hangs must not hold up what the others say for long. */
const ANSWER_MS = 1000

export function registerCluster(program: Command): void {
  const cluster = program
    .command('cluster')
    .description('the nodes of the cluster, their partitions, and moving them')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark cluster
  $ tidemark cluster partitions --keyspace orders
  $ tidemark cluster -o json | jq '.nodes[] | select(.ready | not)'
  $ tidemark cluster verify && echo equal

Asks every node of the map that --server has; one that does not answer is shown as unreachable.`,
    )
    .allowExcessArguments()
    .action(async (_: unknown, command: Command) => {
      const [unknown] = command.args
      if (unknown !== undefined)
        command.error(`error: unknown command '${unknown}': see tidemark cluster --help`)
      const globals = command.optsWithGlobals<Globals>()
      await writeNodes(await withClient(globals, (_rows, client) => takeSurvey(client)), globals)
    })

  cluster
    .command('partitions')
    .description('each partition: its leader, its replicas, and how far they are')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark cluster partitions
  $ tidemark cluster partitions --keyspace orders -o json | jq '.[] | select(.lag > 0)'
  $ tidemark cluster partitions -o json | jq '.[].replicas[] | select(.state != "live")'

APPLIED, LOG END and CHAIN HASH are those of the leader's replica; LAG is that of the replica that is furthest behind.`,
    )
    .action(async (_: unknown, command: Command) => {
      const globals = command.optsWithGlobals<Globals>()
      const survey = await withClient(globals, (_rows, client) => takeSurvey(client))
      await writePartitions(partitionLines(survey, chosenKeyspace(command)), globals)
    })

  cluster
    .command('verify')
    .description('compare the replicas of each partition by their chain hashes, or by all that they hold')
    .option('--deep', 'have every replica hash what it holds, and compare that: finds damage in the store')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark cluster verify
  $ tidemark cluster verify --keyspace orders --timeout 1m      longer, on a busy keyspace
  $ tidemark cluster verify --deep -o json | jq '.[] | select(.verdict != "equal")'

Two replicas are compared where both were seen at the same offset, so a busy partition takes several looks.
With --deep one partition after the other is read whole on all its nodes, beside serving and not fast; --timeout is
how long nothing may move. A node that finds its replica wrong builds it again by itself.
Exit code 0: all equal; 1: some differ; 5: a node did not answer; 6: no common offset was seen in time.`,
    )
    .action(async (_: unknown, command: Command) => {
      const globals = command.optsWithGlobals<Globals & { readonly deep?: boolean }>()
      const verify = globals.deep === true ? verifyContents : verifyReplicas
      await withClient(globals, (_rows, client) =>
        verify(() => takeSurvey(client), chosenKeyspace(command), globals),
      )
    })

  cluster
    .command('watch')
    .description('nodes and partitions, again and again, until Ctrl-C')
    .option('--interval <duration>', 'between two pictures (default: 1s)', parseDuration)
    .option('--count <pictures>', 'end after so many', parseWhole)
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark cluster watch
  $ tidemark cluster watch --keyspace orders --interval 250ms
  $ tidemark cluster watch --count 10 > moves.txt

Draws over itself on a terminal; writes one picture after the other otherwise.`,
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<WatchOptions>()
      await withClient(options, (_rows, client) => watchCluster(client, chosenKeyspace(command), options))
    })
  registerMoves(cluster)
}

interface WatchOptions extends Globals {
  readonly interval?: number
  readonly count?: number
}

/** What all nodes say now. */
export async function takeSurvey(client: Tidemark): Promise<Survey> {
  const description = await client.describe()
  const map = await client.map().catch((error: unknown) => {
    if (error instanceof TidemarkError && error.reason === 'NOT_IMPLEMENTED') return undefined
    throw error
  })
  if (map === undefined) return surveyOfOne(description, client.server)
  return surveyOf(description, map, await client.describeAll({ deadlineMs: ANSWER_MS }))
}

/** The keyspace that the command line names; undefined = all. */
const chosenKeyspace = (command: Command): string | undefined =>
  command.getOptionValueSourceWithGlobals('keyspace') === 'default'
    ? undefined
    : command.optsWithGlobals<Globals>().keyspace

async function watchCluster(
  client: Tidemark,
  keyspace: string | undefined,
  options: WatchOptions,
): Promise<void> {
  const format = formatOf(options)
  const leaving = new AbortController()
  const leave = (): void => {
    leaving.abort()
  }
  process.once('SIGINT', leave).once('SIGTERM', leave)
  try {
    for (let pictures = 0; pictures < (options.count ?? Infinity); pictures += 1) {
      if (pictures > 0) await sleep(options.interval ?? WATCH_MS, undefined, leaving).catch(() => undefined)
      if (leaving.signal.aborted) return
      const survey = await takeSurvey(client)
      const lines = partitionLines(survey, keyspace)
      if (format === 'json' || format === 'jsonl') {
        await writePartitions(lines, { ...options, output: 'jsonl' })
        continue
      }
      const time = new Date().toISOString().slice(11, 19)
      const picture = `${headline(survey)}, ${time}\n\n${nodesTable(nodeLines(survey))}\n${partitionsTable(lines)}`
      await write(process.stdout.isTTY ? `${CLEAR}${picture}` : `${picture}\n`)
    }
  } finally {
    process.off('SIGINT', leave).off('SIGTERM', leave)
  }
}

/** Cursor to the corner, everything after it erased: without the flicker of an empty screen. */
const CLEAR = '\u001b[H\u001b[J'
