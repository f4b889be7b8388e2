/** `npm run budget`: what an operation costs must not creep up. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PROJECT_ROOT } from '../../infra/project-root.ts'
import { tableText } from '../../services/cli/output.ts'
import { type Judged, type Ratios, judge, ratioOf } from './judge.ts'
import { openBench } from './measure.ts'

const HELP = `What an operation costs a node, in processor time, against the ceiling of the same run: an empty gRPC call,
RocksDB and kafkajs with nothing around them. Fails when a ratio is more than a fifth below the committed one
(ratios.json), after twice as many rounds too.

  npm run budget -- [options]

  --quick        one round: a look
  --rounds N     node and ceiling in turns so often; of each the cheapest counts (5)
  --renew        writes what was measured as what is committed: on a quiet machine, after a change that is meant
  --json FILE    also write every round
  --help         this text
`

const FILE = join(PROJECT_ROOT, 'load-tests', 'budget', 'ratios.json')

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    renew: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else await main(values.quick ? 1 : Number(values.rounds))

async function main(rounds: number): Promise<void> {
  const committed = JSON.parse(await readFile(FILE, 'utf8')) as Ratios
  const say = (sentence: string): void => {
    console.error(sentence)
  }
  const bench = await openBench(say)
  try {
    if (!bench.kafka && process.env['CI'] !== undefined)
      throw new Error('CI has no Kafka: the budget says nothing')
    const ratios = async (): Promise<Ratios> => {
      const costs = await bench.rounds(rounds)
      if (values.json !== undefined) await writeFile(values.json, JSON.stringify(costs, undefined, 2))
      return Object.fromEntries(Object.entries(costs).map(([name, one]) => [name, ratioOf(one)]))
    }
    let measured = await ratios()
    if (!values.renew && judge(measured, committed).some(({ verdict }) => verdict === 'too dear')) {
      say('too dear: once more')
      measured = await ratios()
    }
    const judged = judge(measured, committed)
    process.stdout.write(shown(judged))
    if (values.renew)
      await writeFile(FILE, `${JSON.stringify(rounded({ ...committed, ...measured }), undefined, 2)}\n`)
    else if (judged.some(({ verdict }) => verdict !== 'good' && verdict !== 'renew')) process.exitCode = 1
  } finally {
    await bench.close()
  }
}

function shown(judged: readonly Judged[]): string {
  const rows = judged.map(({ name, measured, committed, verdict }) => [
    name,
    measured.toFixed(3),
    committed?.toFixed(3) ?? '',
    verdict === 'renew' ? 'good: cheaper by more than a fifth, run with --renew' : verdict,
  ])
  return tableText(['CEILING OVER NODE, CPU FOR ONE OPERATION', 'MEASURED', 'COMMITTED', 'VERDICT'], rows)
}

function rounded(ratios: Ratios): Ratios {
  return Object.fromEntries(Object.entries(ratios).map(([name, ratio]) => [name, Number(ratio.toFixed(3))]))
}
