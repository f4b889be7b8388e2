/** A node on the memory log and the memory store, with a clock that tests move. */
import type { LogTime, Offset, Partition } from './core/types.ts'
import { NO_HEADERS } from './core/types.ts'
import type { TidemarkNode } from './face.ts'
import { openMemoryLog } from './log/memory.ts'
import { singleMembership } from './membership/single.ts'
import { newMeters } from './meters.ts'
import { openNode } from './node.ts'
import type { Clock, Telemetry } from './ports.ts'
import { openMemoryStore } from './store/memory.ts'
import { systemClock, systemRandom } from './system.ts'

export const soon = (): number => Date.now() + 5000
export const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8')

export const quiet: Telemetry = {
  meters: newMeters(),
  stopped: () => undefined,
  trouble: () => undefined,
  recovered: () => undefined,
}

export interface TestNode {
  node: TidemarkNode
  /** Moves the log's clock and the node's forward. */
  advance(ms: number): void
  /** Sets the clock of the node: no time passes by that. */
  jump(ms: number): void
  /** Appends of the node are not answered any more. */
  stall(): void
  /** Writes as a stranger would, so many times; the offset is the first one. */
  append(
    partition: Partition,
    key: string,
    value: string,
    times?: number,
  ): Promise<{ readonly offset: Offset }>
  /** Closes nothing, opens a second node on the same log and store: as after a crash. */
  reopen(): Promise<TidemarkNode>
}

export async function openTestNode(): Promise<TestNode> {
  let shift = 0
  let set = 0
  let stalled = false
  const log = openMemoryLog({ clock: () => (Date.now() + shift) as LogTime })
  const store = openMemoryStore()
  const clock: Clock = {
    ...systemClock,
    now: () => Date.now() + shift + set,
    elapsed: () => Math.floor(performance.now()) + shift,
  }
  const open = async (): Promise<TidemarkNode> => {
    const node = await openNode({
      cluster: 'test',
      nodeId: 'n1',
      zone: '',
      log: {
        ...log,
        lanes: log.lanes,
        identity: log.identity,
        healthy: true,
        append: (...call) => (stalled ? new Promise(() => undefined) : log.append(...call)),
      },
      logKind: 'memory',
      store,
      membership: singleMembership(),
      clock,
      random: systemRandom,
      telemetry: quiet,
      partitions: 4,
      replication: 1,
      dev: true,
    })
    node.join('127.0.0.1:7400')
    if (!node.ready)
      await new Promise<void>((resolve) => {
        const end = node.onReady((ready) => {
          if (!ready) return
          end()
          resolve()
        })
      })
    return node
  }
  const test: TestNode = {
    node: await open(),
    advance(ms) {
      shift += ms
    },
    jump(ms) {
      set += ms
    },
    stall() {
      stalled = true
    },
    async append(partition, key, value, times = 1) {
      const record = { key: Buffer.from(key), value: Buffer.from(value), headers: NO_HEADERS }
      const records = Array.from({ length: times }, () => record)
      const [place] = await log.append(0, [{ topic: 'test.default', partition, records }])
      if (place === undefined) throw new Error('the log gave no place')
      return { offset: place.firstOffset }
    },
    async reopen() {
      test.node = await open()
      return test.node
    },
  }
  return test
}
