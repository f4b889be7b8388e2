import { expect } from 'chai'
import { Prng } from '../core/testing/prng.ts'
import { draft, logged } from '../core/testing/records.ts'
import { openRig } from './replica.fake.ts'
import type { Rig } from './replica.fake.ts'
import { scanRows } from './scan.ts'

const everything = { start: Buffer.alloc(0), end: undefined }
const options = { reverse: false, keysOnly: false, limit: Infinity }

describe('scan', () => {
  const open: Rig[] = []
  afterEach(async () => {
    for (const { replica } of open.splice(0)) await replica.close()
  })
  /** A replica with these keys, each with its own name as value. */
  async function rigOf(
    keys: readonly string[],
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Rig> {
    const rig = openRig()
    open.push(rig)
    rig.script.append(keys.map((key, at) => logged(at, 0, draft(key, key, headers))))
    await rig.caughtUp()
    return rig
  }
  async function keysOf(
    rigs: readonly Rig[],
    range: Parameters<typeof scanRows>[1],
    more: Partial<typeof options> = {},
  ): Promise<string[]> {
    const keys: string[] = []
    for await (const rows of scanRows(
      rigs.map(({ replica }) => replica),
      range,
      { ...options, ...more },
    ))
      keys.push(...rows.map(({ key }) => Buffer.from(key).toString('latin1')))
    return keys
  }

  it('merges the rows of all replicas in the order of their keys, both ways, inside a range', async () => {
    const prng = new Prng(3)
    const keys = [
      ...new Set(Array.from({ length: 3000 }, () => prng.bytes(1 + prng.below(3)).toString('hex'))),
    ]
    const parts = [0, 1, 2].map((part) => keys.filter((_, at) => at % 3 === part))
    const rigs = await Promise.all(parts.map((part) => rigOf(part)))
    const sorted = [...keys].sort()
    expect(await keysOf(rigs, everything)).to.deep.equal(sorted)
    expect(await keysOf(rigs, everything, { reverse: true })).to.deep.equal([...sorted].reverse())
    const range = { start: Buffer.from('4'), end: Buffer.from('c8') }
    const inside = sorted.filter((key) => key >= '4' && key < 'c8')
    expect(await keysOf(rigs, range)).to.deep.equal(inside)
    expect(await keysOf(rigs, range, { reverse: true, limit: 700 })).to.deep.equal(
      [...inside].reverse().slice(0, 700),
    )
    expect(await keysOf(rigs, range, { limit: 0 })).to.deep.equal([])
  })

  it('shows what stood when it began, and no row that is dead', async () => {
    const rig = await rigOf(['a', 'b', 'c', 'd'])
    rig.script.append([
      logged(4, 0, draft('b', null)),
      logged(5, 0, draft('e', 'x', { 'tm-ttl-ms': '10' })),
      logged(6, 0, draft('f', 'x', { 'tm-ttl-ms': '20' })),
    ])
    rig.script.append([logged(7, 10, draft('g', 'x'))])
    await rig.caughtUp()
    const rows = scanRows([rig.replica], everything, options)
    rig.script.append([logged(8, 30, draft('a', null)), logged(9, 30, draft('h', 'x'))])
    await rig.caughtUp()
    const found = await rows.next()
    expect(
      (found.value as readonly { readonly key: Uint8Array }[]).map(({ key }) => Buffer.from(key).toString()),
    ).to.deep.equal(['a', 'c', 'd', 'f', 'g'])
    await rows.return?.()
    expect(await keysOf([rig], everything)).to.deep.equal(['c', 'd', 'g', 'h'])
  })

  it('leaves out values where only keys are wanted', async () => {
    const rig = await rigOf(['a'])
    const found: number[][] = []
    for await (const rows of scanRows([rig.replica], everything, { ...options, keysOnly: true }))
      found.push(...rows.map((row) => [row.value.length, row.version]))
    expect(found).to.deep.equal([[0, 0]])
  })
})
