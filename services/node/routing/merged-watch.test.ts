/** The merging of watches by itself; over real nodes it is tried in streams.test.ts. */
import { expect } from 'chai'
import { must } from '../../../streams/core/assert.ts'
import { TidemarkError, type Reason } from '../../../streams/core/errors.ts'
import { type Partition, offset, partition } from '../../../streams/core/types.ts'
import type { Watch, WatchMark, WatchMessage, WatchOptions } from '../../../streams/face.ts'
import { mergeWatches } from './merged-watch.ts'

/** A watch that says what a test tells it to. */
class Told implements Watch {
  readonly node: string
  readonly partitions: readonly Partition[]
  readonly options: WatchOptions
  left = false
  #queue: (WatchMessage | TidemarkError)[] = []
  #wake: () => void = () => undefined

  constructor(node: string, partitions: readonly Partition[], options: WatchOptions) {
    this.node = node
    this.partitions = partitions
    this.options = options
  }

  say(mark: WatchMark, at: number | undefined, ...names: string[]): void {
    const [place = partition(0)] = this.partitions
    this.#queue.push({
      mark,
      events: names.map((name) => ({
        kind: 'put',
        partition: place,
        row: {
          key: Buffer.from(name),
          value: Buffer.alloc(0),
          version: offset(at ?? 0),
          expiresAt: 0,
          contentType: '',
        },
        time: 0,
      })),
      positions:
        at === undefined
          ? []
          : this.partitions.map((each) => ({ keyspace: 'k', partition: each, offset: offset(at) })),
    })
    this.#wake()
  }

  fail(reason: Reason): void {
    this.#queue.push(new TidemarkError(reason, reason))
    this.#wake()
  }

  async next(): Promise<IteratorResult<WatchMessage, undefined>> {
    for (;;) {
      const next = this.#queue.shift()
      if (next instanceof TidemarkError) throw next
      if (next !== undefined) return { done: false, value: next }
      if (this.left) return { done: true, value: undefined }
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async return(): Promise<IteratorResult<WatchMessage, undefined>> {
    this.left = true
    this.#wake()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

/** Partition n is on node n, and then on `spare`. */
async function merged(
  count: number,
  options: Partial<WatchOptions> = {},
): Promise<{ readonly watch: Watch; readonly told: Told[] }> {
  const told: Told[] = []
  const all = { range: { start: new Uint8Array(0), end: undefined }, ...options }
  const partitions = Array.from({ length: count }, (_, at) => partition(at))
  const watch = await mergeWatches(all, partitions, async (wanted, asked, _, tried) =>
    wanted.map((at) => {
      const nodeId = tried.includes(`n${at}`) ? 'spare' : `n${at}`
      const answer = new Told(nodeId, [at], asked)
      told.push(answer)
      return { place: { nodeId, own: false, rows: {} as never }, partitions: [at], answer }
    }),
  )
  return { watch, told }
}

/** The next message as text: mark, events, positions. */
async function pulled(watch: Watch): Promise<string> {
  const result = await watch.next()
  if (result.done === true) return 'end'
  const { value } = result
  const events = value.events.map(({ row }) => Buffer.from(row.key).toString()).join('+')
  const positions = value.positions
    .toSorted((a, b) => a.partition - b.partition)
    .map((position) => `${position.partition}:${position.offset}`)
  return [value.mark, events, positions.join(' ')].filter((part) => part !== '').join(' | ')
}

async function failureOf(promise: Promise<unknown>): Promise<TidemarkError> {
  try {
    await promise
  } catch (caught) {
    return TidemarkError.from(caught)
  }
  throw new Error('it did not fail')
}

/** Whether it has come, once everything that was due is done. */
async function waits(pull: Promise<unknown>): Promise<boolean> {
  let come = false
  void pull.then(() => (come = true))
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  return !come
}

describe('watches of several nodes as one', () => {
  it('mark progress once all have said something', async () => {
    const { watch, told } = await merged(2)
    const [a, b] = [must(told[0], 'a'), must(told[1], 'b')]
    a.say('progress', 1)
    const pull = pulled(watch)
    expect(await waits(pull)).to.equal(true)
    b.say('progress', 2)
    expect(await pull).to.equal('progress | 0:1 1:2')
    a.say('events', 3, 'x')
    expect(await pulled(watch)).to.equal('events | x | 0:3 1:2')
    b.say('progress', 4)
    expect(await pulled(watch)).to.equal('progress | 0:3 1:4')
  })

  it('end their initial rows together; who is done with them waits', async () => {
    const { watch, told } = await merged(2, { initialRows: true })
    const [a, b] = [must(told[0], 'a'), must(told[1], 'b')]
    a.say('events', undefined, 'x')
    a.say('initial-end', 1)
    a.say('events', 2, 'later')
    expect(await pulled(watch)).to.equal('events | x')
    const pull = pulled(watch)
    expect(await waits(pull), 'the later one').to.equal(true)
    b.say('events', undefined, 'y')
    expect(await pull).to.equal('events | y')
    b.say('initial-end', 7)
    expect(await pulled(watch)).to.equal('initial-end | 0:1 1:7')
    expect(await pulled(watch)).to.equal('events | later | 0:2 1:7')
  })

  it('let nothing come between the marks of a delta', async () => {
    const { watch, told } = await merged(2)
    const [a, b] = [must(told[0], 'a'), must(told[1], 'b')]
    a.say('progress', 1)
    b.say('progress', 1)
    await pulled(watch)
    a.say('delta-begin', undefined)
    expect(await pulled(watch)).to.equal('delta-begin | 1:1')
    b.say('events', 2, 'other')
    const pull = pulled(watch)
    expect(await waits(pull)).to.equal(true)
    a.say('events', undefined, 'x')
    expect(await pull).to.equal('events | x | 1:1')
    a.say('initial-end', 9)
    expect(await pulled(watch)).to.equal('initial-end | 0:9 1:1')
    expect(await pulled(watch)).to.equal('events | other | 0:9 1:2')
  })

  it('go on elsewhere after the last position, unnoticed', async () => {
    const { watch, told } = await merged(2, { exact: true, previousRows: true })
    const [a, b] = [must(told[0], 'a'), must(told[1], 'b')]
    a.say('progress', 1)
    b.say('progress', 1)
    await pulled(watch)
    a.say('events', 5, 'x')
    a.fail('NODE_UNREACHABLE')
    expect(await pulled(watch)).to.equal('events | x | 0:5 1:1')
    const pull = pulled(watch)
    expect(await waits(pull)).to.equal(true)
    const spare = must(told[2], 'the spare')
    expect(spare.node).to.equal('spare')
    expect(spare.options).to.deep.include({
      initialRows: false,
      exact: true,
      previousRows: true,
      resume: { logIdentity: '', positions: [{ keyspace: 'k', partition: 0, offset: 5 }] },
    })
    b.say('events', 2, 'y')
    expect(await pull, 'with the position of what is away').to.equal('events | y | 0:5 1:2')
    spare.say('progress', 5)
    spare.say('events', 6, 'z')
    b.say('progress', 2)
    const texts = [await pulled(watch), await pulled(watch)]
    expect(texts).to.have.members(['progress | 0:5 1:2', 'events | z | 0:6 1:2'])
  })

  it('begin their initial rows again elsewhere only while none was handed on', async () => {
    const { watch, told } = await merged(1, { initialRows: true })
    must(told[0], 'a').fail('PARTITION_ELSEWHERE')
    const pull = pulled(watch)
    expect(await waits(pull)).to.equal(true)
    const spare = must(told[1], 'the spare')
    expect(spare.options.initialRows).to.equal(true)
    spare.say('events', undefined, 'x')
    expect(await pull).to.equal('events | x')
    spare.fail('PARTITION_ELSEWHERE')
    const failure = await failureOf(watch.next())
    expect([failure.reason, failure.retriable]).to.deep.equal(['NODE_UNREACHABLE', true])
    expect(spare.left).to.equal(true)
    expect(await pulled(watch)).to.equal('end')
  })

  it('end with what cannot be mended', async () => {
    const { watch, told } = await merged(2)
    must(told[0], 'a').fail('COMPACTED')
    expect((await failureOf(watch.next())).reason).to.equal('COMPACTED')
    expect(told.map(({ left }) => left)).to.deep.equal([true, true])
  })

  it('end when they are left, in the middle of a pull', async () => {
    const { watch, told } = await merged(2)
    const pull = pulled(watch)
    await watch.return?.()
    expect(await pull).to.equal('end')
    expect(told.map(({ left }) => left)).to.deep.equal([true, true])
  })
})
