/**
 * Ends the process at a failpoint (streams/failpoint.ts), for tests only: TIDEMARK_FAILPOINT=<place>[:<time>] sends SIGKILL to the
 * process itself when it comes to the place for the so manieth time, by default the first. `trace` ends nothing and tells on stderr which
 * places it came to, at the 1st, 2nd, 4th, 8th … time of each.
 */
import { TidemarkError } from '../../streams/core/errors.ts'
import { onFailpoint } from '../../streams/failpoint.ts'

const FORM = /^(trace|[a-z0-9-]+\.[a-z0-9-]+\.(before|after))(:([1-9]\d{0,8}))?$/

/** @throws CONFIG_INVALID for what is no failpoint, and outside of development */
export function armFailpoint(text: string, dev: boolean): void {
  const refuse = (why: string): never => {
    throw new TidemarkError('CONFIG_INVALID', `TIDEMARK_FAILPOINT: ${why} (it is ${JSON.stringify(text)})`)
  }
  if (!dev) return refuse('kills the process, for tests only; it needs TIDEMARK_DEV=1')
  const [, place, , , time = '1'] = FORM.exec(text) ?? []
  if (place === undefined)
    return refuse('must be trace, or a failpoint and a time, such as log.append.after:3')
  onFailpoint(place === 'trace' ? trace() : killer(place, Number(time)))
}

function trace(): (place: string) => void {
  const times = new Map<string, number>()
  return (place) => {
    const time = (times.get(place) ?? 0) + 1
    times.set(place, time)
    if ((time & (time - 1)) === 0) process.stderr.write(`failpoint ${place}:${time}\n`)
  }
}

function killer(wanted: string, time: number): (place: string) => void {
  let left = time
  return (place) => {
    if (place !== wanted || --left > 0) return
    process.kill(process.pid, 'SIGKILL')
    // The signal may reach another thread first: this one does nothing more.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }
}
