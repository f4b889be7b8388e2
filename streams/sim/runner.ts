/** Runs seeds, in this process or spread over some, and hands on a report of each as it ends. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { simulate } from './simulation.ts'
import type { Report } from './tally.ts'

export async function reportOf(seed: number): Promise<Report> {
  const { problems, operations, events, virtualMs, helped, met, traceHash } = await simulate({ seed })
  return { seed, traceHash, problems, operations, events, virtualMs, helped, met: [...met] }
}

/** @param next - the next seed, undefined when there is none any more */
export async function runSeeds(
  next: () => number | undefined,
  workers: number,
  told: (report: Report) => void,
): Promise<void> {
  if (workers > 1) {
    await Promise.all(Array.from({ length: workers }, () => inProcess(next, told)))
    return
  }
  for (let seed = next(); seed !== undefined; seed = next()) told(await reportOf(seed))
}

const WORKER = fileURLToPath(new URL('./worker.child.js', import.meta.url))

function inProcess(next: () => number | undefined, told: (report: Report) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(WORKER, { execArgv: ['--enable-source-maps'] })
    let running: number | undefined
    const give = (): void => {
      running = next()
      if (running === undefined) child.disconnect()
      else child.send(running)
    }
    child.on('message', (report) => {
      told(report as Report)
      give()
    })
    child.on('error', reject)
    child.on('exit', (code) => {
      if (code === 0 && running === undefined) resolve()
      else reject(new Error(`a worker ended with code ${code ?? 'none'} in seed ${running ?? 'none'}`))
    })
    give()
  })
}
