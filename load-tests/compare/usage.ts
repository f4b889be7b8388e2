/** What processes cost: processor time and resident memory, as Linux counts them. */
import { readFile } from 'node:fs/promises'

/** Linux counts in hundredths of a second (USER_HZ). */
const TICK_SECONDS = 0.01

export interface Usage {
  /** Of each process, since it began. */
  readonly cpuSeconds: ReadonlyMap<number, number>
  readonly rssMiB: number
}

export async function usageOf(pids: readonly number[]): Promise<Usage> {
  const all = await Promise.all(pids.map(usageOfOne))
  return {
    cpuSeconds: new Map(all.map(({ cpuSeconds }, at) => [pids[at] ?? 0, cpuSeconds])),
    rssMiB: all.reduce((sum, { rssMiB }) => sum + rssMiB, 0),
  }
}

/** Processor seconds between the two; a process that is only in the second began meanwhile. */
export function cpuSecondsBetween(before: Usage, after: Usage): number {
  return [...after.cpuSeconds].reduce(
    (sum, [pid, seconds]) => sum + seconds - (before.cpuSeconds.get(pid) ?? 0),
    0,
  )
}

async function usageOfOne(pid: number): Promise<{ cpuSeconds: number; rssMiB: number }> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/status`, 'utf8'),
  ])
  // The name in parentheses may hold anything; user and system time are the 12th and 13th field after it (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) * TICK_SECONDS,
    rssMiB: Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024,
  }
}
