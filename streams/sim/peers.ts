/** Copies of replicas that nodes of a world give each other, over a connection that takes time and breaks with its process. */
import { TidemarkError } from '../core/errors.ts'
import type { CopyOffer, CopyOffers } from '../ports.ts'
import { KEYSPACE, type Running } from './machine.ts'
import { callerOf } from './remote.ts'
import type { Life, World } from './world.ts'

/** Milliseconds without a chunk after which the connection counts as broken. */
const SILENT_MS = 5000

/** @param life - of the process that asks */
export const offersOf = (
  world: World,
  life: Life,
  processOf: (nodeId: string) => Running | undefined,
): CopyOffers =>
  async function* (_topic, partition, peers): AsyncGenerator<CopyOffer> {
    for (const { nodeId } of peers) {
      const peer = processOf(nodeId)
      if (peer === undefined) continue
      const call = callerOf(world, peer, { delay: () => 0.5 })
      const answered = <T>(ask: () => Promise<T>): Promise<T> =>
        Promise.race([
          call(ask),
          new Promise<never>((_, reject) => {
            world.after(life, SILENT_MS, () => {
              reject(new TidemarkError('NODE_UNREACHABLE', `${nodeId} is silent`))
            })
          }),
        ])
      yield {
        from: nodeId,
        async *open() {
          const { chunks } = await answered(async () => peer.node.copies.give(KEYSPACE, partition))
          for (;;) {
            const chunk = await answered(() => chunks.next())
            if (chunk.done === true) return
            yield chunk.value
          }
        },
      }
    }
  }
