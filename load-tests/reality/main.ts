/** `npm run sim:reality`: the same random calls on what is simulated and on what is real, by seed. */
import { parseArgs } from 'node:util'
import { acquireKafka } from '../../infra/kafka/acquire.ts'
import { compareAt, LEVELS } from './levels.ts'
import { openRealKafka } from './log-sides.ts'

const HELP = `Makes the same random calls on the simulated and the real log, store and node, and says where their outcomes part.

  npm run sim:reality -- [options]

  --seeds A..B    (1..50)
  --only LEVEL    ${LEVELS.join(', ')}; by default all
`

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..50' },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const [from = 1, to = from] = values.seeds.split('..').map(Number)
  const levels = LEVELS.filter((level) => values.only === undefined || values.only === level)
  const acquired = await acquireKafka()
  if (typeof acquired === 'string') throw new Error(`there is no Kafka: ${acquired}`)
  const kafka = await openRealKafka(acquired.bootstrap)
  let parted = 0
  try {
    for (const level of levels) {
      let calls = 0
      const began = performance.now()
      for (let seed = from; seed <= to; seed++) {
        const found = await compareAt[level](seed, kafka)
        calls += found.calls
        if (found.difference === undefined) continue
        parted += 1
        console.log(`${level}, seed ${seed}: ${found.difference}`)
        console.log(`  again: npm run sim:reality -- --only ${level} --seeds ${seed}..${seed}`)
      }
      const seconds = ((performance.now() - began) / 1000).toFixed(0)
      console.log(`${level}: ${to - from + 1} traces, ${calls} calls on both sides in ${seconds} s`)
    }
  } finally {
    await kafka.close()
    await acquired.release()
  }
  console.log(parted === 0 ? 'no difference' : `${parted} traces part`)
  return parted === 0 ? 0 : 1
}

process.exitCode = await main()
