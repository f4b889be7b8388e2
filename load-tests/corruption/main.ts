/** `npm run corruption`: damages a data directory in every way at every 4 KiB, and proves that no wrong value is ever served. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { progress } from '../../services/cli/progress.ts'
import { damageAll, type Done } from './run.ts'
import { corruptionTable } from './table.ts'

const HELP = `Flips a bit, zeroes a page, cuts off a file: in every file of a data directory and of its snapshots, at every 4 KiB.

  npm run corruption -- [options]

  --seed N      of the data and of the places within each page (1)
  --short       200 damages, spread over all of them
  --jobs N      processes (2)
  --json FILE   each damage and what came of it
`

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    short: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  if (values.help) {
    process.stdout.write(HELP)
    return 0
  }
  const bar = progress('damages')
  const done: readonly Done[] = await damageAll({
    seed: Number(values.seed),
    jobs: Number(values.jobs),
    ...(values.short ? { cases: 200 } : {}),
    onDone(count, all) {
      bar.show(count, count / all)
    },
  })
  bar.end()
  process.stdout.write(corruptionTable(done))
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(done, null, 2)}\n`)
  return done.some(({ result }) => result.kind === 'WRONG') ? 1 : 0
}

process.exitCode = await main()
