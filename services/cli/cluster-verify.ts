/** cluster verify: looks until every partition has a verdict or the time is over, and says what it found. */
import { setTimeout as sleep } from 'node:timers/promises'
import { CommandFailure, EXIT } from './failure.ts'
import type { Globals } from './options.ts'
import { formatOf, jsonText, tableText, write } from './output.ts'
import type { Survey } from './survey.ts'
import { Verification, type Verdict, type Verified } from './verify.ts'

/** Milliseconds between two looks. */
const LOOK_MS = 50

/** @throws CommandFailure where not all are equal */
export async function verifyReplicas(
  takeSurvey: () => Promise<Survey>,
  keyspace: string | undefined,
  globals: Globals,
): Promise<void> {
  const deadline = Date.now() + globals.timeout
  const verification = new Verification()
  let found = verification.look(await takeSurvey(), keyspace)
  while (!verification.settled && Date.now() + LOOK_MS < deadline) {
    await sleep(LOOK_MS)
    found = verification.look(await takeSurvey(), keyspace)
  }
  await writeVerified(found, globals)
  refuse(found)
}

async function writeVerified(found: readonly Verified[], globals: Globals): Promise<void> {
  const format = formatOf(globals)
  if (format === 'json') return write(jsonText(found.map(verifiedJson), format))
  if (format === 'jsonl') return write(found.map((one) => jsonText(verifiedJson(one), format)).join(''))
  const rows = found.map(({ keyspace, partition, nodes, missing, verdict }) => [
    keyspace,
    String(partition),
    verdict.kind === 'equal' && missing.length > 0 ? 'equal, some missing' : WORDS[verdict.kind],
    'offset' in verdict ? String(verdict.offset) : '-',
    [...nodes, ...missing.map((node) => `${node}:missing`)].join(' '),
  ])
  if (format === 'raw') return write(rows.map((row) => `${row.join('\t')}\n`).join(''))
  return write(tableText(['KEYSPACE', 'PARTITION', 'REPLICAS ARE', 'AT OFFSET', 'NODES'], rows))
}

const WORDS: Readonly<Record<Verdict['kind'], string>> = {
  equal: 'equal',
  different: 'DIFFERENT',
  alone: 'alone',
  open: 'not compared',
}

const verifiedJson = ({ keyspace, partition, nodes, missing, verdict }: Verified): unknown => ({
  keyspace,
  partition,
  verdict: verdict.kind,
  ...('offset' in verdict ? { offset: verdict.offset } : {}),
  ...('hashes' in verdict ? { hashes: Object.fromEntries(verdict.hashes) } : {}),
  nodes,
  missing,
})

/** The worst that was found decides. */
function refuse(found: readonly Verified[]): void {
  const sentences = found.flatMap(({ keyspace, partition, verdict }) => {
    if (verdict.kind !== 'different') return []
    const hashes = [...verdict.hashes].map(([node, hash]) => `${node} has ${hash}`).join(', ')
    return [`replicas of ${keyspace}/${partition} differ at offset ${verdict.offset}: ${hashes}`]
  })
  if (sentences.length > 0) throw new CommandFailure(sentences.join('; '), EXIT.ERROR)
  const missing = [...new Set(found.flatMap((one) => one.missing))]
  if (missing.length > 0)
    throw new CommandFailure(`replicas of ${missing.join(', ')} could not be looked at`, EXIT.UNAVAILABLE)
  const open = found.filter(({ verdict }) => verdict.kind === 'open')
  if (open.length > 0)
    throw new CommandFailure(
      `replicas of ${open.length} partitions were never seen at one offset: give it longer with --timeout, or a quiet moment`,
      EXIT.DEADLINE,
    )
}
