/** Where the project lies, whichever folder the compiled code was put into: files that are no TypeScript stay in the sources. */
import { existsSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'

function find(from: string): string {
  const manifest = join(from, 'package.json')
  if (existsSync(manifest)) return dirname(realpathSync(manifest))
  if (dirname(from) === from) throw new Error(`no package.json above ${import.meta.dirname}`)
  return find(dirname(from))
}

export const PROJECT_ROOT = find(import.meta.dirname)
