/** Plants a bug in the text of a compiled file. */
import { assert } from '../../core/assert.ts'
import type { Mutant } from './mutants.ts'

export function plant(text: string, { name, find, put }: Mutant): string {
  const parts = text.split(find)
  assert(parts.length === 2, `"${name}" matches ${parts.length - 1} times, not once: ${find}`)
  return parts.join(put)
}
