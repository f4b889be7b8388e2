/**
 * Command-line tools that are Go modules (Helm, helm-unittest, kubeconform, helm-docs, a reader of Compose files), built once into a cache
 * folder of the user that is named after their sources. One module, go/go.mod, pins them all, so that what they share is compiled once.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder, withLock } from '../kafka/jars.ts'
import { PROJECT_ROOT } from '../project-root.ts'
import { KUBERNETES } from './kubernetes.ts'

const run = promisify(execFile)

const SOURCES = join(PROJECT_ROOT, 'infra', 'tools', 'go')
/** Milliseconds; two idle cores take two and a half minutes. */
const BUILD_MS_MAX = 20 * 60_000

const PACKAGES = [
  'helm.sh/helm/v3/cmd/helm',
  'github.com/helm-unittest/helm-unittest/cmd/helm-unittest',
  'github.com/yannh/kubeconform/cmd/kubeconform',
  'github.com/norwoodj/helm-docs/cmd/helm-docs',
  './compose-check',
]

export type GoTool = 'helm' | 'helm-unittest' | 'kubeconform' | 'helm-docs' | 'compose-check'

let found: Promise<string> | undefined

/** The path of a tool. @throws where there is no Go, or it cannot build */
export async function goTool(name: GoTool): Promise<string> {
  found ??= tools()
  return join(await found, name)
}

async function tools(): Promise<string> {
  const hash = createHash('sha256').update(KUBERNETES.newest)
  for (const file of ['go.mod', 'go.sum', 'compose-check/main.go'])
    hash.update(await readFile(join(SOURCES, file)))
  const folder = join(cacheFolder(), `go-tools-${hash.digest('hex').slice(0, 8)}`)
  if (!existsSync(folder)) await withLock(`${folder}.lock`, () => build(folder))
  return folder
}

async function build(folder: string): Promise<void> {
  // Another starter may have filled it while this one waited for the lock.
  if (existsSync(folder)) return
  const partial = `${folder}.partial`
  await rm(partial, { recursive: true, force: true })
  console.error(`building Helm and other tools into ${folder} (once, some minutes) …`)
  const [major, minor] = KUBERNETES.newest.slice(1).split('.')
  // What Helm takes the cluster for when it asks none.
  const cluster = 'helm.sh/helm/v3/pkg/chartutil.k8sVersion'
  const linking = `-s -w -X ${cluster}Major=${major} -X ${cluster}Minor=${minor}`
  const args = ['build', '-p=2', '-trimpath', `-ldflags=${linking}`, '-o', `${partial}/`, ...PACKAGES]
  await run('go', args, { cwd: SOURCES, timeout: BUILD_MS_MAX, maxBuffer: 2 ** 26 }).catch(
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
        throw new Error('go is not there: install Go 1.26 or newer', { cause: error })
      throw error
    },
  )
  await rename(partial, folder)
}
