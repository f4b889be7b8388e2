/** Module hooks that plant a mutant while its file is loaded; nothing on disk is changed. */
import type { InitializeHook, LoadHook } from 'node:module'
import { must } from '../../core/assert.ts'
import { MUTANTS, type Mutant } from './mutants.ts'
import { plant } from './plant.ts'

let planted: Mutant | undefined

export const initialize: InitializeHook<number> = (number) => {
  planted = must(MUTANTS[number], 'a mutant of that number')
}

export const load: LoadHook = async (url, context, next) => {
  const loaded = await next(url, context)
  if (planted === undefined || !url.endsWith(`/dist/${planted.file}`)) return loaded
  const text = Buffer.from(loaded.source as Uint8Array).toString('utf8')
  return { ...loaded, source: plant(text, planted) }
}
