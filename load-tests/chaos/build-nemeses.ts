/** What differs between nodes: their build, and what they take for the time. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { untilTrue } from './lookout.ts'
import { type Nemesis, NotHere } from './nemesis.ts'

const mixedVersions: Nemesis = {
  name: 'mixed-versions',
  about: 'nodes are upgraded, or downgraded, one by one to the build that --other-build names, and back',
  async act({ ground: { cluster }, otherBuild, harmMs }) {
    if (otherBuild === undefined) throw new NotHere('it needs --other-build')
    if (!existsSync(otherBuild)) throw new NotHere(`there is no ${otherBuild}`)
    const pauseMs = harmMs / (2 * cluster.nodes.length)
    for (const change of [{ command: otherBuild }, {}]) {
      for (const node of cluster.nodes) {
        await node.stop()
        await node.start(change)
        await sleep(pauseMs)
      }
    }
    return `${cluster.nodes.length} nodes ran ${otherBuild}, one after the other, and this build again`
  },
}

/** Where Debian and Ubuntu put it (`apt-get install libfaketime`). */
const LIBRARIES = ['x86_64', 'aarch64'].map(
  (machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`,
)
/** Seconds by which the clock of a node jumps: far ahead, then far behind. */
const JUMPS = ['+7200', '-7200', '+0']
/** Milliseconds until a change of the file is seen. */
const SEEN_MS = 2000

const clock: Nemesis = {
  name: 'clock-jumps',
  about: 'the clock of a node jumps two hours ahead, two hours back, and is right again',
  async act({ ground: { cluster }, lookout, random, harmMs }) {
    const library = LIBRARIES.find((path) => existsSync(path))
    if (library === undefined) throw new NotHere('libfaketime is not installed')
    const node = cluster.nodes[random.below(cluster.nodes.length)]
    if (node === undefined) return undefined
    const file = join(node.folder, 'faketime')
    await writeFile(file, '+0')
    await node.restart({
      settings: {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_CACHE_DURATION: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    })
    try {
      for (const jump of JUMPS) {
        await writeFile(file, jump)
        await sleep(harmMs / JUMPS.length)
      }
      const lives = await untilTrue(async () => (await lookout.describe(node)) !== undefined, 10_000)
      await writeFile(file, JUMPS[0] ?? '')
      await sleep(SEEN_MS)
      // What it says of itself now stands under the wrong hour.
      await node.kill('SIGTERM')
      const times = [...(await node.output()).matchAll(/"time":"([^"]+)"/g)].map(([, time]) =>
        Date.parse(time ?? ''),
      )
      const ahead = Math.max(...times) - Date.now()
      if (lives === undefined || ahead < 3_600_000) return undefined
      return `${node.id} ran through ${JUMPS.join(', ')} s; its last words are ${Math.round(ahead / 60_000)} minutes ahead`
    } finally {
      if (node.pid !== undefined) await node.stop()
      await node.start()
    }
  },
}

export const BUILD_NEMESES: readonly Nemesis[] = [mixedVersions, clock]
