/** What a keyspace adds to a watch of replicas: watchers are counted. */

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
