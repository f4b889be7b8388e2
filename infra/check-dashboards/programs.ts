/**
 * What the check needs beside Node, each in a place of its own: Prometheus with promtool (a Debian package, infra/tools/install.sh), a
 * statsd_exporter that Go builds once, and Datadog's own models, which npm puts into the cache folder: 145 MB that nobody else needs.
 */
import { execFile } from 'node:child_process'
import { constants, existsSync } from 'node:fs'
import { access, mkdir, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder, withLock } from '../kafka/jars.ts'
import { PROJECT_ROOT } from '../project-root.ts'

const run = promisify(execFile)

const EXPORTER = { module: 'github.com/prometheus/statsd_exporter', version: 'v0.31.0' }
const MODELS = { name: '@datadog/datadog-api-client', version: '1.64.0' }
/** Milliseconds; two cores take a minute to build, and a slow registry as long to send. */
const ACQUIRE_MS_MAX = 10 * 60_000

/** The path of a program of Debian's package; asks for its installation where that is allowed (CI). */
export async function programOf(name: 'prometheus' | 'promtool'): Promise<string> {
  const there = await onPath(name)
  if (there !== undefined) return there
  if ((process.env['CI'] ?? '') !== '') await run(join(PROJECT_ROOT, 'infra', 'tools', 'install.sh'))
  const installed = await onPath(name)
  if (installed === undefined) throw new Error(`${name} is not there: apt-get install prometheus`)
  return installed
}

async function onPath(command: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, command)
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}

export async function statsdExporter(): Promise<string> {
  const { module, version } = EXPORTER
  const folder = await acquired(`statsd_exporter-${version}`, async (partial) => {
    const env = { ...process.env, GOBIN: partial, CGO_ENABLED: '0' }
    await run('go', ['install', '-ldflags=-s -w', `${module}@${version}`], { env, timeout: ACQUIRE_MS_MAX })
  })
  return join(folder, 'statsd_exporter')
}

/** What is used of Datadog's client: it reads JSON as its API would, without a network. */
export interface Models {
  readonly ObjectSerializer: { deserialize(data: unknown, type: string, format: string): unknown }
}

export async function datadogModels(): Promise<Models> {
  const { name, version } = MODELS
  const folder = await acquired(`datadog-api-client-${version}`, async (partial) => {
    const args = [
      'install',
      '--prefix',
      partial,
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--no-save',
      `${name}@${version}`,
    ]
    await run('npm', args, { timeout: ACQUIRE_MS_MAX })
  })
  const load = createRequire(join(folder, 'node_modules', 'none.js'))
  return load(`${name}/dist/packages/datadog-api-client-v1/models/ObjectSerializer.js`) as Models
}

/** A folder of the cache, filled once. */
async function acquired(name: string, fill: (partial: string) => Promise<void>): Promise<string> {
  const folder = join(cacheFolder(), name)
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(folder)) return
    const partial = `${folder}.partial`
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial, { recursive: true })
    console.error(`getting ${name} into ${folder} (once) …`)
    await fill(partial)
    await rename(partial, folder)
  })
  return folder
}
