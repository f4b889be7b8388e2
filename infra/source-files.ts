/** The sources of the project, as the rules over them read them. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT_ROOT } from './project-root.ts'
import type { Source } from './source-rules.ts'

const FOLDERS = ['streams', 'services', 'infra', 'load-tests', 'proto', 'charts']
/** Of these the rules inside a file are asked. */
export const SCRIPT = /\.(ts|js|mjs|cjs)$/
const READ = /\.(ts|js|mjs|cjs|java|sh|proto|ya?ml|tf|properties)$/
const NOT_OURS = /^(proto\/(generated|google)\/|.*\/node_modules\/)/

export function readSources(): Source[] {
  return FOLDERS.filter((folder) => existsSync(join(PROJECT_ROOT, folder)))
    .flatMap((folder) =>
      readdirSync(join(PROJECT_ROOT, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && READ.test(entry.name))
        .map((entry) => join(entry.parentPath, entry.name).slice(PROJECT_ROOT.length + 1))
        .filter((path) => !NOT_OURS.test(path)),
    )
    .sort()
    .map((path) => ({ path, text: readFileSync(join(PROJECT_ROOT, path), 'utf8') }))
}
