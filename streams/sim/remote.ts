/**
 * The keyspace of a node as a client has it who is not in the same process: questions and answers take time and get lost with the process.
 * What a dead process would have said is never heard; what a paused one says comes late.
 */
import { TidemarkError } from '../core/errors.ts'
import type { Row } from '../core/mutation.ts'
import type { Keyspace, Scan, TidemarkNode, Watch } from '../face.ts'
import type { Clock } from '../ports.ts'
import type { Life, World } from './world.ts'

export interface Wire {
  /** Milliseconds that one way takes. */
  delay(): number
}

export interface RemoteNode {
  readonly node: TidemarkNode
  readonly life: Life
  readonly clock: Clock
}

export function remoteKeyspace(
  world: World,
  { node, life, clock }: RemoteNode,
  name: string,
  wire: Wire,
): Keyspace {
  const call = callerOf(world, { life }, wire)

  /** Deadlines of clients are of the world, those of a node of its clock: what travels is the time that is left. */
  const local = <T extends { readonly deadline: number }>(options: T): T => ({
    ...options,
    deadline: clock.now() + Math.max(0, options.deadline - world.now),
  })

  const there = (): Keyspace => node.keyspace(name)

  return {
    get info() {
      return there().info
    },
    partitionOf: (key) => there().partitionOf(key),
    write: (mutation, options, reads) => call(() => there().write(mutation, local(options), reads)),
    submit(mutation, options, settle, reads) {
      this.write(mutation, options, reads).then(settle, (caught: unknown) => {
        settle(TidemarkError.from(caught))
      })
    },
    get: (key, freshness) => call(() => there().get(key, local(freshness))),
    getAt: (key, at, freshness) => call(() => there().getAt(key, at, local(freshness))),
    getMany: (keys, freshness) => call(() => there().getMany(keys, local(freshness))),
    history: (key, limit, freshness) => call(() => there().history(key, limit, local(freshness))),
    outcome: (partition, offset, deadline) =>
      call(() => there().outcome(partition, offset, local({ deadline }).deadline)),
    barrier: (partition, requestId, deadline) =>
      call(() => there().barrier(partition, requestId, local({ deadline }).deadline)),
    findBarrier: (partition, requestId, deadline) =>
      call(() => there().findBarrier(partition, requestId, local({ deadline }).deadline)),
    async scan(options) {
      const scan = await call(() => there().scan(local(options)))
      return { ...scan, rows: remoteIterator(scan.rows, call) } satisfies Scan
    },
    async watch(options) {
      const watch = await call(() => there().watch(options))
      return remoteIterator(watch, call) satisfies Watch
    },
  }
}

/** Asks in the process, answers out of it; never settles when the process dies first. */
export const callerOf =
  (world: World, { life }: Pick<RemoteNode, 'life'>, wire: Wire) =>
  <T>(ask: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const answer = (settle: () => void): void => {
        if (life.alive) world.after(undefined, wire.delay(), settle)
      }
      world.after(undefined, wire.delay(), () => {
        world.within(life, () => {
          started(ask).then(
            (value) => {
              answer(() => {
                resolve(value)
              })
            },
            (cause: unknown) => {
              answer(() => {
                reject(TidemarkError.from(cause))
              })
            },
          )
        })
      })
    })

/** A throw of the question itself is its answer. */
const started = async <T>(ask: () => Promise<T>): Promise<T> => ask()

function remoteIterator<T extends readonly Row[] | object>(
  inner: AsyncIterableIterator<T>,
  call: <R>(ask: () => Promise<R>) => Promise<R>,
): AsyncIterableIterator<T> {
  return {
    next: () => call(() => inner.next()),
    return: () => call(async () => (await inner.return?.()) ?? { done: true, value: undefined }),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
