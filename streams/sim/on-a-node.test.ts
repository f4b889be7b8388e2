/** The workload on a real node over a log in memory, held against the log by every checker: generator, recorder and checkers as one. */
import { expect } from 'chai'
import { Prng } from '../core/testing/prng.ts'
import { textToBytes } from '../core/bytes.ts'
import type { LogRecord, LogTime, Offset, Partition } from '../core/types.ts'
import type { Keyspace } from '../face.ts'
import { openMemoryLog } from '../log/memory.ts'
import type { Log } from '../log/log.ts'
import { singleMembership } from '../membership/single.ts'
import { openNode } from '../node.ts'
import { quiet, soon } from '../node.fixture.ts'
import { openMemoryStore } from '../store/memory.ts'
import { systemClock, systemRandom } from '../system.ts'
import { checkHistory } from './check/check.ts'
import { Coverage, coverageLines } from './coverage.ts'
import type { At, Call, ForeignCall, History, Result } from './history.ts'
import { perform, performWatch } from './perform.ts'
import type { RunningWatch } from './perform.ts'
import { Recorder } from './recorder.ts'
import { Workload } from './workload.ts'

const TOPIC = 'test.default'
const PARTITIONS = 3
const CLIENTS = 6

describe('the workload on a node', function () {
  this.timeout(60_000)

  for (const seed of [1, 2, 3])
    it(`keeps every promise, seed ${seed}`, async () => {
      const coverage = new Coverage([])
      const history = await run(seed, 80, coverage)
      const messages = checkHistory(history).flatMap(({ name, violations }) =>
        violations.map(({ message }) => `${name}: ${message}`),
      )
      expect(messages.slice(0, 5)).to.deep.equal([])
      const answered = history.entries.filter(
        (entry) => entry.type === 'return' && entry.result.status === 'ok',
      )
      expect(answered.length).to.be.at.least(300)
      expect(history.entries.filter(({ type }) => type === 'seen').length).to.be.at.least(50)
      const { pairs } = coverage.report()
      expect(pairs.met / pairs.all, coverageLines(coverage.report()).join()).to.be.at.least(0.8)
    })
})

async function run(seed: number, callsOfEach: number, coverage: Coverage): Promise<History> {
  const prng = new Prng(seed)
  let shift = 0
  const now = (): number => 1_700_000_000_000 + shift
  const log = openMemoryLog({ clock: () => now() as LogTime })
  const node = await openNode({
    cluster: 'test',
    nodeId: 'n1',
    zone: '',
    log,
    logKind: 'memory',
    store: openMemoryStore(),
    membership: singleMembership(),
    clock: systemClock,
    random: systemRandom,
    telemetry: quiet,
    partitions: PARTITIONS,
    replication: 1,
    dev: true,
  })
  node.join('127.0.0.1:7400')
  await new Promise<void>((resolve) => {
    if (node.ready) resolve()
    else node.onReady((ready) => (ready ? resolve() : undefined))
  })
  const keyspace = node.keyspace('default')
  const recorder = new Recorder({ now: Date.now, onEntry: (entry) => coverage.take(entry) })
  const workload = new Workload(prng, {
    partitions: PARTITIONS,
    partitionOf: (key) => keyspace.partitionOf(textToBytes(key)),
    ttlMsMax: 300,
  })
  const client = async (name: string): Promise<void> => {
    const watches: RunningWatch[] = []
    for (let made = 0; made < callsOfEach; made++) {
      shift += prng.below(20)
      const call = workload.next(name, coverage)
      workload.learn(name, call, await ask(name, call, watches))
      if (watches.length > 2) await leave(watches.shift(), workload)
    }
    for (const watch of watches) await leave(watch, workload)
  }
  const ask = async (name: string, call: Call, watches: RunningWatch[]): Promise<Result> => {
    const asked = { client: name, node: 'n1', keyspace, deadline: soon() }
    switch (call.kind) {
      case 'watch':
        watches.push(performWatch(recorder, asked, call))
        return { status: 'unknown', reason: '' }
      case 'cut': {
        const op = recorder.call(name, 'n1', call)
        await leave(watches.pop(), workload)
        return recorder.return(op, { status: 'ok', answer: { kind: 'ended' } }).result
      }
      case 'foreign':
      case 'rubbish':
        return produce(recorder, name, log, call)
      default:
        return perform(recorder, asked, call)
    }
  }
  try {
    await Promise.all(Array.from({ length: CLIENTS }, (_, at) => client(`c${at}`)))
    return {
      keyspace: { name: 'default', partitions: PARTITIONS, separator: '' },
      entries: recorder.entries,
      log: await Promise.all(Array.from({ length: PARTITIONS }, (_, at) => readBack(log, at as Partition))),
      replicas: await dumpOf(keyspace, node.replicas()),
    }
  } finally {
    await node.close(soon())
    await log.close()
  }
}

async function leave(watch: RunningWatch | undefined, workload: Workload): Promise<void> {
  if (watch === undefined) return
  await watch.leave()
  workload.ended({ positions: watch.positions })
}

async function produce(recorder: Recorder, client: string, log: Log, call: ForeignCall): Promise<Result> {
  const op = recorder.call(client, '', call)
  const bytes = (text: string | null): Buffer | null => (text === null ? null : textToBytes(text))
  const headers = new Map(Object.entries(call.headers).map(([name, text]) => [name, textToBytes(text)]))
  const records = [{ key: bytes(call.key), value: bytes(call.value), headers }]
  const [place] = await log.append(0, [{ topic: TOPIC, partition: call.partition as Partition, records }])
  const answer = { kind: 'appended', partition: call.partition, offset: place?.firstOffset ?? -1 } as const
  return recorder.return(op, { status: 'ok', answer }).result
}

async function readBack(log: Log, partition: Partition): Promise<readonly LogRecord[]> {
  const topic = await log.describeTopic(TOPIC)
  const { start, end } = await log.offsets(TOPIC, partition)
  if (topic === undefined || start === end) return []
  const reader = log.read(TOPIC, partition, start, { identity: topic.identity, partitions: PARTITIONS })
  const records: LogRecord[] = []
  for (let next: Offset = start; next < end;) {
    const batch = await reader.next()
    records.push(...batch.records)
    next = batch.nextOffset
  }
  reader.close()
  return records
}

/** Every partition at the place of one scan. */
async function dumpOf(
  keyspace: Keyspace,
  statuses: readonly { readonly partition: Partition; readonly chainHash: string }[],
): Promise<History['replicas']> {
  const recorder = new Recorder({ now: Date.now })
  const asked = { client: 'dump', node: 'n1', keyspace, deadline: soon() }
  return Promise.all(
    statuses.map(async ({ partition, chainHash }) => {
      const result = await perform(recorder, asked, {
        kind: 'scan',
        start: '',
        consistency: 'linearizable',
        token: [] as At[],
        partitions: [partition],
      })
      if (result.status !== 'ok' || result.answer.kind !== 'rows') throw new Error('no rows to dump')
      const rows = result.answer.rows.flatMap((row) => (row === null ? [] : [row]))
      return {
        node: 'n1',
        partition,
        next: (result.answer.shown[0]?.applied ?? -1) + 1,
        chain: chainHash,
        rows,
      }
    }),
  )
}
