import { expect } from 'chai'
import type { LogTime } from '../core/types.ts'
import { sharedAppender } from './appender.ts'
import type { Appended } from './log.ts'
import { openMemoryLog } from './memory.ts'

describe('the shared appender', () => {
  it('gives each lane one append at a time, in order, and goes on after one that failed', async () => {
    const began: string[] = []
    const pending: { resolve: (places: readonly Appended[]) => void; reject: (cause: unknown) => void }[] = []
    const { lanes, append } = sharedAppender({
      ...openMemoryLog({ clock: () => 0 as LogTime, lanes: 2 }),
      append: (lane, parts) =>
        new Promise((resolve, reject) => {
          began.push(`${lane}:${parts[0]?.topic ?? ''}`)
          pending.push({ resolve, reject })
        }),
    })
    const part = (topic: string): Parameters<typeof append>[1] => [
      { topic, partition: 0 as never, records: [] },
    ]
    expect(lanes).to.equal(2)
    const first = append(0, part('a'))
    const second = append(0, part('b'))
    const other = append(1, part('c'))
    expect(began, 'the lanes are independent').to.deep.equal(['0:a', '1:c'])
    pending[0]?.reject(new Error('the broker is gone'))
    expect(await first.catch((caught: unknown) => String(caught))).to.equal('Error: the broker is gone')
    await new Promise((resolve) => setImmediate(resolve))
    expect(began).to.deep.equal(['0:a', '1:c', '0:b'])
    for (const { resolve } of pending) resolve([])
    expect(await Promise.all([second, other])).to.deep.equal([[], []])
    await new Promise((resolve) => setImmediate(resolve))
    void append(0, part('d'))
    expect(began.at(-1), 'a free lane is not waited for').to.equal('0:d')
  })

  it('gives the next turn to a caller with a listener once the lane is free, to one without when all has ended', async () => {
    const began: string[] = []
    const calls: { readonly free: () => void; readonly end: () => void }[] = []
    const { append } = sharedAppender({
      ...openMemoryLog({ clock: () => 0 as LogTime }),
      append: (_, parts, listener) =>
        new Promise((resolve) => {
          began.push(parts[0]?.topic ?? '')
          calls.push({ free: () => listener?.free(), end: () => resolve([]) })
        }),
    })
    const listener = { part: () => undefined, free: () => undefined }
    const part = (topic: string): Parameters<typeof append>[1] => [
      { topic, partition: 0 as never, records: [] },
    ]
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    void append(0, part('slow'), listener)
    void append(0, part('next'), listener)
    const careless = append(0, part('careless'))
    expect(began).to.deep.equal(['slow'])
    calls[0]?.free()
    await turn()
    expect(began).to.deep.equal(['slow', 'next'])
    calls[1]?.end()
    await turn()
    expect(began, 'the slow one may still hold the partition').to.deep.equal(['slow', 'next'])
    calls[0]?.end()
    await turn()
    expect(began).to.deep.equal(['slow', 'next', 'careless'])
    calls[2]?.end()
    expect(await careless).to.deep.equal([])
  })
})
