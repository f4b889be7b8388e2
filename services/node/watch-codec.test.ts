import { expect } from 'chai'
import type { Offset, Partition } from '../../streams/core/types.ts'
import type { WatchEvent, WatchMark, WatchMessage } from '../../streams/face.ts'
import {
  type WatchMark as MarkNumber,
  WatchResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { tokenMessage, watchEventMessage } from './messages.ts'
import { WatchEncoder } from './watch-codec.ts'

const PARTITION = 300 as Partition
const position = { keyspace: 'default', partition: PARTITION, offset: 7 as Offset }

const event = (more: Partial<WatchEvent> = {}): WatchEvent => ({
  kind: 'put',
  partition: PARTITION,
  row: {
    key: Buffer.from('ä-key'),
    value: Buffer.alloc(200, 'v'),
    version: 5_000_000_000 as Offset,
    expiresAt: 1_700_000_000_000,
    contentType: 'text/ü',
  },
  time: 1_699_999_999_999,
  ...more,
})

const bare = {
  key: Buffer.from('k'),
  value: Buffer.alloc(0),
  version: 0 as Offset,
  expiresAt: 0,
  contentType: '',
}

const EVENTS: readonly WatchEvent[] = [
  event(),
  event({ previous: bare, traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }),
  event({ kind: 'deleted', row: bare, time: 0, partition: 0 as Partition }),
  event({ kind: 'expired' }),
]

describe('messages of watches', () => {
  it('are what the generated code reads and writes', () => {
    const encoder = new WatchEncoder('log-1')
    const marks: readonly WatchMark[] = ['events', 'initial-end', 'progress', 'delta-begin']
    marks.forEach((mark, number) => {
      for (const events of [[], EVENTS.slice(0, 1), EVENTS])
        for (const positions of [[], [position, { ...position, partition: 0 as Partition }]]) {
          const bytes = encoder.encode({ mark, events, positions })
          const generated: WatchResponse = {
            events: events.map(watchEventMessage),
            token: tokenMessage('log-1', positions),
            mark: number as MarkNumber,
          }
          expect(WatchResponse.decode(bytes)).to.deep.equal(generated)
          expect(bytes.toString('hex')).to.equal(
            Buffer.from(WatchResponse.encode(generated).finish()).toString('hex'),
          )
        }
    })
  })

  it('are one buffer for all watchers that get the same', () => {
    const encoder = new WatchEncoder('log-1')
    const positions = [position]
    const message: WatchMessage = { mark: 'events', events: EVENTS, positions }
    const first = encoder.encode(message)
    expect(encoder.encode({ ...message, events: [...EVENTS] })).to.equal(first)
    for (const other of [
      { ...message, events: EVENTS.slice(1) },
      { ...message, events: EVENTS.with(0, event()) },
      { ...message, positions: [{ ...position, offset: 8 as Offset }] },
      { ...message, mark: 'progress' as const },
    ])
      expect(encoder.encode(other)).not.to.equal(first)
  })
})
