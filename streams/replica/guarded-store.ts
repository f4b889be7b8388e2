/**
 * The store as one replica reads it: damage that any read finds, whoever asked, is the end of serving from this replica, which can then
 * be built again elsewhere from. Otherwise a damaged row would be refused for ever while the node counts as whole.
 */
import { TidemarkError } from '../core/errors.ts'
import type { Store } from '../store/store.ts'

/** @param damaged - told of damage; returns what the reader hears */
export function guardedStore(store: Store, damaged: (error: TidemarkError) => TidemarkError): Store {
  const told = (caught: unknown): TidemarkError => {
    const error = TidemarkError.from(caught)
    return error.reason === 'STORE_CORRUPT' ? damaged(error) : error
  }
  const guard = <T>(read: () => T): T => {
    try {
      return read()
    } catch (caught) {
      throw told(caught)
    }
  }
  return {
    getMany: (keys) => guard(() => store.getMany(keys)),
    getManyAsync: (keys) =>
      store.getManyAsync(keys).catch((caught: unknown) => {
        throw told(caught)
      }),
    cursor(range) {
      const cursor = guard(() => store.cursor(range))
      return {
        next: (rows) => guard(() => cursor.next(rows)),
        rewind() {
          cursor.rewind()
        },
        close() {
          cursor.close()
        },
      }
    },
    batch: () => store.batch(),
    write(batch, options) {
      store.write(batch, options)
    },
    drop(range) {
      store.drop(range)
    },
    approximateBytes: () => store.approximateBytes(),
    measures: () => store.measures(),
    close: () => store.close(),
  }
}
