/**
 * A file system of a few megabytes, for tests that fill it: a tmpfs, mounted as root, through sudo without a password, or in a user
 * namespace of its own, whichever the machine allows. What is full there is truly full: ENOSPC for every process that writes.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'

export interface SmallDisk {
  /** As a process started with `enter` sees it. */
  readonly directory: string
  /** What stands before the command of a process that uses the disk. */
  readonly enter: readonly string[]
  /** Takes all room that is left. */
  fill(): void
  /** Gives back what `fill` took. */
  free(): void
  release(): void
}

/** @returns undefined, and says so loudly, where nothing of that is allowed. */
export async function openSmallDisk(megabytes: number): Promise<SmallDisk | undefined> {
  const directory = mkdtempSync(join(tmpdir(), 'tidemark-small-disk-'))
  const owner = `uid=${process.getuid?.() ?? 0},gid=${process.getgid?.() ?? 0}`
  const mount = ['mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', directory]
  const mountOwned = mount.with(4, `size=${megabytes}m,${owner}`)
  for (const root of [[], ['sudo', '-n']])
    if (succeeds([...root, ...mountOwned]))
      return smallDisk(directory, directory, [], () => succeeds([...root, 'umount', directory]))
  const holder = await holdNamespace(mount)
  if (holder?.pid !== undefined) {
    const enter = ['nsenter', '--preserve-credentials', '-U', '-m', '-t', String(holder.pid)]
    return smallDisk(directory, `/proc/${holder.pid}/root${directory}`, enter, () => holder.kill('SIGKILL'))
  }
  rmSync(directory, { recursive: true })
  console.warn(
    'SKIPPED for want of a small disk: a tmpfs needs root, sudo without a password, or user namespaces',
  )
  return undefined
}

/** @param seen - where this process finds the disk */
function smallDisk(
  directory: string,
  seen: string,
  enter: readonly string[],
  unmount: () => unknown,
): SmallDisk {
  const ballast = join(seen, 'ballast')
  return {
    directory,
    enter,
    fill() {
      for (let bytes = 1 << 20; bytes >= 1;)
        try {
          appendFileSync(ballast, Buffer.alloc(bytes))
        } catch {
          bytes = Math.floor(bytes / 2)
        }
    },
    free() {
      rmSync(ballast)
    },
    release() {
      unmount()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

const succeeds = ([command = '', ...args]: readonly string[]): boolean =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0

/** A process that keeps a namespace with the mount alive. */
async function holdNamespace(mount: readonly string[]): Promise<ChildProcess | undefined> {
  const script = `${mount.join(' ')} && echo mounted && exec sleep infinity`
  const holder = spawn('unshare', ['-U', '-r', '-m', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const outcome = await Promise.race([
    once(holder.stdout, 'data').then(() => 'mounted'),
    once(holder, 'exit').then(() => 'refused'),
    once(holder, 'error').then(() => 'refused'),
  ])
  return outcome === 'mounted' ? holder : undefined
}
