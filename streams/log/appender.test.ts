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
    void append(0, part('d'))
    expect(began.at(-1), 'a free lane is not waited for').to.equal('0:d')
  })
})
