/** The version of this package, from its package.json, wherever the compiled code lies below it. */
import { existsSync, readFileSync } from 'node:fs'

export function version(): string {
  const manifest = ['../../../package.json', '../../package.json']
    .map((path) => new URL(path, import.meta.url))
    .find(existsSync)
  if (manifest === undefined) return 'unknown'
  const { version = 'unknown' } = JSON.parse(readFileSync(manifest, 'utf8')) as { version?: string }
  return version
}
