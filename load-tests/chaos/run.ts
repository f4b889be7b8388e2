/** Runs cells one after the other on one cluster; one that a cell has broken is replaced by a fresh one. */
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { historyLines } from '../../streams/sim/history-codec.ts'
import { type CellResult, cellName, runCell } from './cell.ts'
import { type Ground, startGround } from './ground.ts'
import type { Cell } from './matrix.ts'

export interface RunOptions {
  readonly cells: readonly Cell[]
  readonly seconds: number
  readonly seed: number
  /** Clients that read and write. */
  readonly clients: number
  /** Where what belongs to a cell that failed is kept. */
  readonly keep: string
  readonly longRun: boolean
  /** The main.js of another build, for mixed versions. */
  readonly otherBuild?: string | undefined
  readonly say: (sentence: string) => void
}

export async function runCells(options: RunOptions): Promise<CellResult[]> {
  const { cells, seconds, clients, keep, say } = options
  const results: CellResult[] = []
  let ground: Ground | undefined
  try {
    for (const [index, cell] of cells.entries()) {
      ground ??= await startGround({ partitions: 3, longRun: options.longRun, say })
      const seed = options.seed + index
      say(`${cellName(cell)} …`)
      const result = await runCell(
        { ...cell, seed, seconds, clients, otherBuild: options.otherBuild },
        ground,
      )
      results.push(result)
      for (const line of result.story) say(`  ${line}`)
      for (const fault of result.faults) say(`  ${result.verdict}: ${fault}`)
      if (result.verdict === 'failed') await keepEvidence(ground, result, keep, say)
      const whole = result.verdict !== 'failed' && (await restored(ground))
      if (whole) continue
      await ground.close()
      ground = undefined
    }
  } finally {
    await ground?.close()
  }
  return results
}

/** Everything that belongs together runs again. */
async function restored({ cluster, network }: Ground): Promise<boolean> {
  network.heal()
  try {
    for (const broker of cluster.brokers) if (broker.pid === undefined) await broker.start()
    for (const node of cluster.nodes) if (node.pid === undefined) await node.start()
    await cluster.settled()
    return true
  } catch {
    return false
  }
}

async function keepEvidence(
  { cluster }: Ground,
  result: CellResult,
  keep: string,
  say: RunOptions['say'],
): Promise<void> {
  const folder = join(keep, `${result.cell.replace('/', '-')}-${result.seed}`)
  await mkdir(folder, { recursive: true })
  const { history, ...rest } = result
  await writeFile(join(folder, 'result.json'), JSON.stringify(rest, undefined, 2))
  if (history !== undefined)
    await writeFile(
      join(folder, 'history.jsonl'),
      [...historyLines(history)].map((line) => `${line}\n`).join(''),
    )
  for (const node of cluster.nodes) await writeFile(join(folder, `${node.id}.out`), await node.output())
  for (const { id } of cluster.brokers)
    await cp(join(cluster.directory, 'kafka', `broker-${id}`, 'broker.out'), join(folder, `broker-${id}.out`))
  say(`  its story, history and logs are in ${folder}; to repeat it:`)
  say(`  ${repeatCommand(result)}`)
}

export const repeatCommand = ({ cell, seed, seconds }: CellResult): string =>
  `npm run chaos -- --cells ${cell} --seed ${seed} --seconds ${seconds}`
