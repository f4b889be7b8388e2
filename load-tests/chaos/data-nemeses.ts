/** What befalls the data directory of a node. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { cp, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from '../../services/client/index.ts'
import { openSmallDisk } from '../../services/node/small-disk.fixture.ts'
import { must } from '../../streams/core/assert.ts'
import type { NodeProcess } from '../cluster/node-process.ts'
import { untilTrue } from './lookout.ts'
import { type Field, type Nemesis, NotHere, rest } from './nemesis.ts'

const COMMAND = fileURLToPath(new URL('../../services/cli/main.js', import.meta.url))
/** Milliseconds in which a process that may not run must have ended. */
const REFUSED_MS_MAX = 30_000

const someNode = ({ ground, random }: Field): NodeProcess =>
  must(ground.cluster.nodes[random.below(ground.cluster.nodes.length)], 'a node')

/** A second process on the data directory of a node. @returns its exit code and what it said */
async function startOn(
  node: NodeProcess,
  id: string,
  bootstrap: readonly string[],
): Promise<[number | null, string]> {
  const child = spawn(process.execPath, [COMMAND, 'serve'], {
    env: {
      PATH: process.env['PATH'],
      TIDEMARK_LOG: 'kafka',
      TIDEMARK_KAFKA_BROKERS: bootstrap.join(','),
      TIDEMARK_NODE_ID: id,
      TIDEMARK_DATA_DIR: join(node.folder, 'data'),
      TIDEMARK_GRPC_LISTEN: '127.0.0.1:0',
      TIDEMARK_HTTP_LISTEN: '127.0.0.1:0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  const killer = setTimeout(() => child.kill('SIGKILL'), REFUSED_MS_MAX)
  await once(child, 'exit')
  clearTimeout(killer)
  return [child.exitCode, said]
}

const sharedDirectory: Nemesis = {
  name: 'shared-directory',
  about:
    'a second process is started on the data directory of a node, once with its id and once with another: both must be refused',
  async act(field) {
    const node = someNode(field)
    const { pid } = node
    const codes: (number | null)[] = []
    for (const id of [node.id, 'stranger']) {
      const [code, said] = await startOn(node, id, field.ground.cluster.bootstrap)
      if (code === 0 || code === null || !said.includes('STORE_LOCKED'))
        throw new Error(
          `a second process as ${id} was not refused: exit ${String(code)}, ${said.slice(-500)}`,
        )
      codes.push(code)
    }
    await rest(field)
    if (node.pid !== pid) throw new Error(`${node.id} did not survive a second process on its directory`)
    return `both were refused with STORE_LOCKED, exit code ${codes.join(' and ')}; ${node.id} went on`
  },
}

/** Over what the node has already. */
const DISK_MB = 96

const diskFull: Nemesis = {
  name: 'disk-full',
  about: 'the disk of a node has no room left for a while',
  async act(field) {
    const disk = await openSmallDisk(DISK_MB)
    if (disk === undefined) throw new NotHere('no file system can be mounted here')
    if (disk.enter.length > 0) {
      disk.release()
      throw new NotHere('a file system can be mounted in a namespace only, and the node is outside of it')
    }
    const node = someNode(field)
    const data = join(node.folder, 'data')
    try {
      await node.stop()
      await cp(data, disk.directory, { recursive: true })
      await rename(data, `${data}.before`)
      await symlink(disk.directory, data)
      await node.start()
      const quiet = (await node.output()).length
      disk.fill()
      const noticed = await untilTrue(async () => {
        // Files that stand may have room left in them.
        await fillRow(field)
        return /disk is full/.test((await node.output()).slice(quiet))
      }, 60_000)
      await rest(field)
      if (node.pid === undefined) throw new Error(`${node.id} ended for want of room`)
      disk.free()
      const said =
        noticed === undefined ? undefined : `${node.id} said that its disk has no room after ${noticed} ms`
      await field.ground.cluster.settled()
      return said
    } finally {
      await node.stop()
      await rm(data, { recursive: true })
      await cp(disk.directory, data, { recursive: true, filter: (path) => !path.endsWith('ballast') })
      disk.release()
      await node.start()
    }
  },
}

const ROW_BYTES = 200_000

async function fillRow({ ground, random }: Field): Promise<void> {
  const db = connect({ server: ground.servers, deadlineMs: 3000 })
  const key = `ballast-${random.below(1000)}`
  await db.put(key, randomBytes(ROW_BYTES)).catch(() => undefined)
  await db.close()
}

export const DATA_NEMESES: readonly Nemesis[] = [sharedDirectory, diskFull]
