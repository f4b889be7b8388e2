/** What a keyspace adds to a watch of replicas: which key it is about, and that watchers are counted. */
import { bytesToText } from './core/bytes.ts'
import type { WatchOptions } from './face.ts'

/** The key when the range holds just one. */
export function singleKey({ range }: WatchOptions): Uint8Array | undefined {
  const { start, end } = range
  if (end?.length !== start.length + 1 || end[start.length] !== 0) return undefined
  return bytesToText(end.subarray(0, start.length)) === bytesToText(start) && start.length > 0
    ? start
    : undefined
}

/** The same iterator; `done` is called once when it ends or is returned. */
export function counted<T>(inner: AsyncIterableIterator<T>, done: () => void): AsyncIterableIterator<T> {
  let open = true
  const end = (): void => {
    if (open) done()
    open = false
  }
  return {
    async next() {
      try {
        const result = await inner.next()
        if (result.done === true) end()
        return result
      } catch (caught) {
        end()
        throw caught
      }
    },
    async return(value?: unknown) {
      end()
      return (await inner.return?.(value)) ?? { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
