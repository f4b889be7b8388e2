/** A process that runs the seeds which its parent sends (runner.ts). */
import { reportOf } from './runner.ts'

process.on('message', (seed) => {
  void reportOf(Number(seed)).then((report) => process.send?.(report))
})
