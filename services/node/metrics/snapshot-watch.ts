/** How the snapshots of the cluster stand: looked at now and then, because whoever makes them may be another node or a job. */
import { TidemarkError } from '../../../streams/core/errors.ts'
import { SNAPSHOT_LOOK_MS } from '../../../streams/core/limits.ts'
import type { SnapshotStore } from '../../../streams/snapshot/snapshot-store.ts'
import { listSnapshots } from '../../../streams/snapshot/snapshot.ts'
import { begunAt } from '../../../streams/snapshot/manifest.ts'
import type { Logger } from '../logger.ts'

export interface SnapshotWatch {
  /** Undefined until the first look. */
  readonly state: SnapshotState | undefined
  readonly errors: number
  /** Looks now. */
  look(): Promise<void>
  stop(): void
}

export interface SnapshotState {
  readonly complete: number
  readonly broken: number
  /** Of the newest complete one. Milliseconds since 1970, bytes. */
  readonly newest: { readonly at: number; readonly bytes: number } | undefined
}

export function watchSnapshots(store: SnapshotStore, cluster: string, logger: Logger): SnapshotWatch {
  let state: SnapshotState | undefined
  let errors = 0
  let failing = false
  const look = async (): Promise<void> => {
    try {
      const { complete, broken } = await listSnapshots(store, cluster)
      const newest = complete[0]
      state = {
        complete: complete.length,
        broken: broken.length,
        newest: newest && {
          at: begunAt(newest.snapshot),
          bytes: newest.partitions.reduce((sum, { object }) => sum + object.size, 0),
        },
      }
      failing = false
    } catch (caught) {
      errors += 1
      if (!failing) logger.warn(`the snapshots cannot be looked at: ${TidemarkError.from(caught).message}`)
      failing = true
    }
  }
  const timer = setInterval(() => void look(), SNAPSHOT_LOOK_MS)
  timer.unref()
  void look()
  return {
    get state() {
      return state
    },
    get errors() {
      return errors
    },
    look,
    stop: () => clearInterval(timer),
  }
}
