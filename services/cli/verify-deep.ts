/**
 * cluster verify --deep: has all replicas of a partition hash what they hold at one place of the log, waits for them, and says whether
 * they hold the same. A node that finds its replica wrong stops and rebuilds it by itself, and may have done so before it is asked
 * again: that counts as a difference, too.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ContentPart, ProofServiceClient } from '../../proto/generated/tidemark/v1/proof_service.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { differences } from '../../streams/replica/content.ts'
import { beginProof, getProof, proofClient } from '../proof-calls.ts'
import { CommandFailure, EXIT } from './failure.ts'
import type { Globals } from './options.ts'
import { formatOf, jsonText, tableText, write } from './output.ts'
import { progress } from './progress.ts'
import { type PartitionLine, type Survey, partitionLines } from './survey.ts'

/** Milliseconds between two questions how far a replica is. */
const LOOK_MS = 100

/** What a node says of its replica at that place of the log. */
export type Found =
  | { readonly kind: 'hashed'; readonly hash: string; readonly parts: readonly ContentPart[] }
  | { readonly kind: 'hashing'; readonly entries: number }
  /** It was found wrong: stopped, or built again since. */
  | { readonly kind: 'replaced'; readonly why: string }
  /** It has not begun, or does not answer. */
  | { readonly kind: 'silent'; readonly why: string }

export interface Compared {
  readonly keyspace: string
  readonly partition: number
  readonly at: number | undefined
  readonly verdict: 'equal' | 'different' | 'alone' | 'open'
  /** By node. */
  readonly found: ReadonlyMap<string, Found>
  /** What differs, for people. */
  readonly differing: readonly string[]
}

/** Pure: what the answers of all nodes that the map has for the partition say together. */
export function compare(found: ReadonlyMap<string, Found>): Pick<Compared, 'verdict' | 'differing'> {
  const all = [...found.values()]
  const hashed = all.filter((one) => one.kind === 'hashed')
  const replaced = all.some((one) => one.kind === 'replaced')
  const [first, ...others] = hashed
  const differing = new Set(others.flatMap((one) => differences(first?.parts ?? [], one.parts)))
  if (replaced || hashed.some(({ hash }) => hash !== first?.hash))
    return { verdict: 'different', differing: [...differing] }
  if (hashed.length < all.length) return { verdict: 'open', differing: [] }
  return { verdict: all.length === 1 ? 'alone' : 'equal', differing: [] }
}

/** One partition after the other. @throws CommandFailure where not all are equal */
export async function verifyContents(
  takeSurvey: () => Promise<Survey>,
  keyspace: string | undefined,
  globals: Globals,
): Promise<void> {
  const survey = await takeSurvey()
  const clients = new Map(survey.nodes.map(({ nodeId, address }) => [nodeId, proofClient(address)]))
  const compared: Compared[] = []
  try {
    for (const line of partitionLines(survey, keyspace))
      compared.push(await verifyPartition(line, clients, globals))
  } finally {
    for (const client of clients.values()) client.close()
  }
  await writeCompared(compared, globals)
  refuse(compared)
}

async function verifyPartition(
  { keyspace, partition, replicas }: PartitionLine,
  clients: ReadonlyMap<string, ProofServiceClient>,
  { timeout }: Globals,
): Promise<Compared> {
  const place = { keyspace, partition }
  const expected = replicas.filter(({ warming }) => !warming)
  const found = new Map<string, Found>(
    expected.map(({ nodeId, state, found: status }) => [
      nodeId,
      status?.stoppedReason === 'REPLICA_DIVERGED'
        ? { kind: 'replaced', why: status.stoppedMessage }
        : { kind: 'silent', why: state },
    ]),
  )
  const live = expected.filter(({ state }) => state === 'live').map(({ nodeId }) => nodeId)
  const starter = live.map((nodeId) => clients.get(nodeId)).find((client) => client !== undefined)
  if (starter === undefined) return { ...place, at: undefined, found, verdict: 'open', differing: [] }
  const at = await beginProof(starter, place, Date.now() + timeout)
  const bar = progress(`entries of ${keyspace}/${partition} read`)
  let entries = 0
  // As long as any replica comes on, it is waited for: a large one takes its time.
  for (let deadline = Date.now() + timeout; Date.now() < deadline;) {
    await Promise.all(
      live.map(async (nodeId) => {
        const client = clients.get(nodeId)
        const before = found.get(nodeId)
        if (client === undefined || before?.kind === 'hashed' || before?.kind === 'replaced') return
        found.set(nodeId, await look(client, place, at, Date.now() + timeout))
      }),
    )
    const all = [...found.values()]
    const total = all.reduce((sum, one) => sum + (one.kind === 'hashing' ? one.entries : 0), 0)
    const waiting = live.some((nodeId) => ['hashing', 'silent'].includes(found.get(nodeId)?.kind ?? ''))
    if (!waiting) break
    if (total !== entries) deadline = Date.now() + timeout
    entries = total
    bar.show(entries, undefined)
    await sleep(LOOK_MS)
  }
  bar.end()
  return { ...place, at, found, ...compare(found) }
}

async function look(
  client: ProofServiceClient,
  place: { readonly keyspace: string; readonly partition: number },
  at: number,
  deadline: number,
): Promise<Found> {
  try {
    const { contents, wrongAt, wrongMessage } = await getProof(
      client,
      { ...place, withParts: true },
      deadline,
    )
    if (wrongAt === at) return { kind: 'replaced', why: wrongMessage }
    const content = contents.find((one) => one.at === at)
    if (content !== undefined && content.hash !== '')
      return { kind: 'hashed', hash: content.hash, parts: content.parts }
    if (content !== undefined) return { kind: 'hashing', entries: content.entries }
    return { kind: 'silent', why: 'it has not begun' }
  } catch (caught) {
    const { metadata, message } = TidemarkError.from(caught)
    if (metadata['cause'] === 'REPLICA_DIVERGED') return { kind: 'replaced', why: message }
    return { kind: 'silent', why: message }
  }
}

const WORDS = { equal: 'equal', different: 'DIFFERENT', alone: 'alone', open: 'not compared' } as const

async function writeCompared(compared: readonly Compared[], globals: Globals): Promise<void> {
  const format = formatOf(globals)
  if (format === 'json') return write(jsonText(compared.map(comparedJson), format))
  if (format === 'jsonl') return write(compared.map((one) => jsonText(comparedJson(one), format)).join(''))
  const rows = compared.map(({ keyspace, partition, at, verdict, found }) => [
    keyspace,
    String(partition),
    WORDS[verdict],
    at === undefined ? '-' : String(at),
    [...found].map(([nodeId, { kind }]) => (kind === 'hashed' ? nodeId : `${nodeId}:${kind}`)).join(' '),
  ])
  if (format === 'raw') return write(rows.map((row) => `${row.join('\t')}\n`).join(''))
  return write(tableText(['KEYSPACE', 'PARTITION', 'CONTENTS ARE', 'AT OFFSET', 'NODES'], rows))
}

const comparedJson = ({ keyspace, partition, at, verdict, found, differing }: Compared): unknown => ({
  keyspace,
  partition,
  verdict,
  ...(at === undefined ? {} : { offset: at }),
  ...(differing.length === 0 ? {} : { differing }),
  replicas: [...found].map(([nodeId, one]) => ({
    node: nodeId,
    state: one.kind,
    ...('hash' in one ? { hash: one.hash } : {}),
    ...('why' in one ? { message: one.why } : {}),
  })),
})

/** The worst that was found decides. */
function refuse(compared: readonly Compared[]): void {
  const sentences = compared
    .filter(({ verdict }) => verdict === 'different')
    .map(({ keyspace, partition, at, found, differing }) => {
      const wrong = [...found].flatMap(([nodeId, one]) =>
        one.kind === 'replaced' ? [`${nodeId}: ${one.why}`] : [],
      )
      const what = differing.length === 0 ? '' : ` in ${differing.join(', ')}`
      return `replicas of ${keyspace}/${partition} differ at offset ${at}${what}${wrong.length === 0 ? '' : ` (${wrong.join('; ')})`}`
    })
  if (sentences.length > 0) throw new CommandFailure(sentences.join('; '), EXIT.ERROR)
  const open = compared.filter(({ verdict }) => verdict === 'open')
  if (open.length === 0) return
  const nodes = open.flatMap(({ found }) =>
    [...found].flatMap(([nodeId, { kind }]) => (kind === 'hashed' ? [] : [nodeId])),
  )
  throw new CommandFailure(
    `${open.length} partitions could not be compared: no hash from ${[...new Set(nodes)].join(', ') || 'any node'}`,
    EXIT.UNAVAILABLE,
  )
}
