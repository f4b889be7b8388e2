import { expect } from 'chai'
import { encodeBarrier } from '../core/encode.ts'
import { effectsSpan, metaKey } from '../core/keys.ts'
import { PackWriter } from '../core/messages.ts'
import { decodeState } from '../core/state.ts'
import { draft, logged } from '../core/testing/records.ts'
import type { LogRecord, NewRecord } from '../core/types.ts'
import { openMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { PREFIX, ScriptedLog, dumpTables, openRig } from './replica.fake.ts'
import type { Rig } from './replica.fake.ts'

const packOf = (kind: 'put' | 'delete', count: number): NewRecord => {
  const writer = new PackWriter()
  for (let at = 0; at < count; at++) {
    const key = Buffer.from(`k${at}`)
    writer.add(kind === 'put' ? { kind, key, value: Buffer.from('v') } : { kind, key })
  }
  return draft(null, writer.finish(), { 'tm-op': 'pack' })
}
const puts = (from: number, count: number): readonly LogRecord[] =>
  Array.from({ length: count }, (_, at) => logged(from + at, 0, draft('busy', `value ${from + at}`)))
const pieces = (store: Store): number => {
  const cursor = store.cursor(effectsSpan(PREFIX, 0))
  const entries = cursor.next(100_000)
  cursor.close()
  return entries.length
}

describe('garbage', () => {
  const open: Rig[] = []
  afterEach(async () => {
    for (const { replica } of open.splice(0)) await replica.close()
  })
  function rigOf(bounds: Parameters<typeof openRig>[0] & object): Rig {
    const script = new ScriptedLog()
    script.batchRecords = () => 10
    const rig = openRig({ script, ...bounds })
    open.push(rig)
    return rig
  }

  it('keeps so many records of history, and not much more', async () => {
    const rig = rigOf({ bounds: { historyRecords: 100, segmentBytes: 1 } })
    rig.script.append(puts(0, 1000))
    await rig.caughtUp()
    const { historyStart, next } = rig.replica.state
    expect(next - historyStart).to.be.within(100, 107 + 10)
    expect(pieces(rig.store)).to.equal(next - historyStart)
  })

  it('keeps so many bytes of history, and knows how many', async () => {
    const rig = rigOf({ bounds: { historyBytes: 5000, segmentBytes: 100 } })
    rig.script.append(puts(0, 1000))
    await rig.caughtUp()
    const cursor = rig.store.cursor(effectsSpan(PREFIX, 0))
    const kept = cursor.next(10_000).reduce((bytes, { value }) => bytes + value.length, 0)
    cursor.close()
    expect(rig.replica.state.historyBytes).to.equal(kept)
    expect(kept).to.be.within(4000, 5313 + 1000)
  })

  it('writes what it dropped into the state, so that a restart knows', async () => {
    const rig = rigOf({ bounds: { historyRecords: 100, segmentBytes: 1, tombstoneRecords: 200 } })
    rig.script.append(puts(0, 1000))
    await rig.caughtUp()
    const stored = decodeState(rig.store.getMany([metaKey(PREFIX)])[0] ?? Buffer.alloc(0))
    expect(stored).to.deep.equal(rig.replica.state)
    expect(stored.historyStart).to.be.greaterThan(800)
    expect(stored.tombstoneStart).to.be.greaterThan(700)
  })

  it('keeps no history of records far behind the end of the log, and drops what it has from before', async () => {
    const script = new ScriptedLog()
    script.batchRecords = () => 10
    script.append(puts(0, 1000))
    const rig = openRig({ script, bounds: { historyRecords: 100, segmentBytes: 1 } })
    open.push(rig)
    await rig.caughtUp()
    const { historyStart, next } = rig.replica.state
    expect(next - historyStart).to.be.within(90, 120)
    expect(pieces(rig.store)).to.equal(next - historyStart)
  })

  it('moves on where records leave no history, and then writes nothing more', async () => {
    const inner = openMemoryStore()
    let writes = 0
    const store: Store = {
      ...inner,
      write: (batch) => {
        writes += 1
        inner.write(batch)
      },
    }
    const rig = rigOf({ store, bounds: { historyRecords: 100 } })
    rig.script.append(Array.from({ length: 300 }, (_, at) => logged(at, 0, encodeBarrier())))
    await rig.caughtUp()
    expect(rig.replica.state.historyStart).to.be.within(180, 200)
    writes = 0
    rig.script.append([logged(300, 0, encodeBarrier())])
    await rig.caughtUp()
    expect(writes).to.equal(1)
  })

  it('drops tombstones with their rows, but no row that came back', async () => {
    const rig = rigOf({ bounds: { tombstoneRecords: 100, historyRecords: 10, segmentBytes: 1 } })
    rig.script.append([
      logged(0, 0, packOf('put', 20)),
      logged(1, 0, packOf('delete', 20)),
      logged(2, 0, draft('k7', 'back')),
    ])
    await rig.caughtUp()
    expect(dumpTables(rig.store, 'g')).to.have.length(19)
    rig.script.append(puts(3, 150))
    await rig.caughtUp()
    expect(dumpTables(rig.store, 'g')).to.deep.equal([])
    expect(
      dumpTables(rig.store, 'r').map((line) => Buffer.from(line.split(' ')[1] ?? '', 'hex').toString()),
    ).to.deep.equal(['busy', 'k7'])
    expect(rig.replica.state.rows).to.equal(2)
  })

  it('says that tombstones of a record are gone as soon as the first of them is', async () => {
    const rig = rigOf({ bounds: { tombstoneRecords: 100, historyRecords: 10, segmentBytes: 1 } })
    // More than one step drops: some of the tombstones that one record made stay for a while.
    rig.script.append([
      logged(0, 0, packOf('put', 1500)),
      logged(1, 0, packOf('delete', 1500)),
      ...puts(2, 98),
    ])
    await rig.caughtUp()
    const seen: [number, number][] = []
    for (let at = 100; at < 150; at += 1) {
      rig.script.append(puts(at, 1))
      await rig.caughtUp()
      seen.push([rig.replica.state.tombstoneStart, dumpTables(rig.store, 'g').length])
    }
    expect(seen.map(([, left]) => left)).to.include.members([1500, 500, 0])
    for (const [start, left] of seen)
      expect(start > 1, `${left} left, kept from ${start}`).to.equal(left < 1500)
  })
})
