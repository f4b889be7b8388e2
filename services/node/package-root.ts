/** Where the package lies, whichever folder the compiled code was put into: for its version and the .proto files. */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'

function rootAbove(folder: string): string {
  const manifest = join(folder, 'package.json')
  if (existsSync(manifest)) return dirname(realpathSync(manifest))
  if (dirname(folder) === folder) throw new Error('the package of Tidemark has no package.json')
  return rootAbove(dirname(folder))
}

export const PACKAGE_ROOT = rootAbove(import.meta.dirname)
export const PROTO_FOLDER = join(PACKAGE_ROOT, 'proto')
export const VERSION = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8'))).version
