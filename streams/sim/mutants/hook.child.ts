/** Loaded first (`--import`) into a process that runs the simulator with one bug planted: MUTANT in its arguments is the number. */
import { register } from 'node:module'

const at = process.argv.indexOf('--mutant')
if (at >= 0) {
  const [, number] = process.argv.splice(at, 2)
  register('./loader.child.js', { parentURL: import.meta.url, data: Number(number) })
}
