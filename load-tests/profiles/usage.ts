/** What a process has used of the processors, as Linux counts it: its main thread to the nanosecond, all of it to 10 ms. */
import { readFile } from 'node:fs/promises'

/** Linux counts whole processes in hundredths of a second (USER_HZ). */
const TICK_MICROS = 10_000

/** Microseconds. */
export interface Used {
  readonly main: number
  readonly all: number
}

export async function usedBy(pid: number): Promise<Used> {
  const [stat, schedule] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/task/${pid}/schedstat`, 'utf8'),
  ])
  // The name in parentheses may hold anything; user and system time are the 12th and 13th field after it (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    main: Number(schedule.split(' ')[0]) / 1000,
    all: (Number(fields[11]) + Number(fields[12])) * TICK_MICROS,
  }
}

export const between = (before: Used, after: Used): Used => ({
  main: after.main - before.main,
  all: after.all - before.all,
})
