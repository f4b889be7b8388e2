/** Names of cuts, against a fake that can be made to forget; what a cut promises is tested in routing/cut.test.ts. */
import { expect } from 'chai'
import { TidemarkError } from '../../streams/core/errors.ts'
import { CUT_NAME_CHARS_MAX } from '../../streams/core/limits.ts'
import { checkCutName, chosenKeyspaces, cutThrough } from './cut.ts'
import { FakeNode } from './face.fake.ts'

const later = (): number => Date.now() + 5000

const reasonOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'none'
  } catch (caught) {
    return TidemarkError.from(caught).reason
  }
}

describe('a cut', () => {
  it('has a position of every partition; the same name gives the same ones, another name later ones', async () => {
    const node = new FakeNode()
    const keyspace = node.keyspace('default')
    const first = await cutThrough([keyspace], 'a', later())
    expect(first.places.map(({ partition }) => partition)).to.deep.equal([0, 1, 2, 3])
    expect(first.repeated).to.equal(false)
    const again = await cutThrough([keyspace], 'a', later())
    expect(again).to.deep.equal({ ...first, repeated: true })
    const other = await cutThrough([keyspace], 'b', later())
    other.places.forEach(({ offset }, at) => expect(offset).to.be.greaterThan(first.places[at]?.offset ?? -1))
  })

  it('that was broken off is finished by the next one of its name, with the positions that it had', async () => {
    const node = new FakeNode()
    const keyspace = node.keyspace('default')
    node.elsewhere.add(2)
    expect(await reasonOf(cutThrough([keyspace], 'a', later()))).to.equal('PARTITION_ELSEWHERE')
    const [begun] = [keyspace.partitions[0]?.seen.get('cut:a')]
    node.elsewhere.clear()
    const finished = await cutThrough([keyspace], 'a', later())
    expect([finished.repeated, finished.places[0]?.offset]).to.deep.equal([false, begun?.offset])
    expect((await cutThrough([keyspace], 'a', later())).repeated).to.equal(true)
  })

  it('that was finished is refused where a partition has forgotten it, however often it is asked for', async () => {
    const keyspace = new FakeNode().keyspace('default')
    await cutThrough([keyspace], 'a', later())
    keyspace.partitions[3]?.seen.clear()
    for (let times = 0; times < 3; times += 1)
      expect(await reasonOf(cutThrough([keyspace], 'a', later()))).to.equal('REQUEST_ID_FORGOTTEN')
  })

  it('is a new one in all partitions where partition 0 has forgotten its name', async () => {
    const keyspace = new FakeNode().keyspace('default')
    const first = await cutThrough([keyspace], 'a', later())
    keyspace.partitions[0]?.seen.clear()
    const next = await cutThrough([keyspace], 'a', later())
    expect(next.repeated).to.equal(false)
    next.places.forEach(({ offset }, at) => expect(offset).to.be.greaterThan(first.places[at]?.offset ?? -1))
  })

  it('goes through several keyspaces, and refuses more partitions than a token takes', async () => {
    const node = new FakeNode()
    await node.createKeyspace('other', { partitions: 2 })
    for (const name of ['w', 'x', 'y', 'z']) await node.createKeyspace(name, { partitions: 1024 })
    const both = await cutThrough([node.keyspace('default'), node.keyspace('other')], 'a', later())
    expect(both.places.map(({ keyspace, partition }) => `${keyspace}/${partition}`)).to.deep.equal([
      'default/0',
      'default/1',
      'default/2',
      'default/3',
      'other/0',
      'other/1',
    ])
    const all = node.keyspaces().map(({ name }) => node.keyspace(name))
    expect(await reasonOf(cutThrough(all, 'b', later()))).to.equal('BATCH_TOO_LARGE')
    expect(chosenKeyspaces([], ['b', 'a'])).to.deep.equal(['a', 'b'])
    expect(chosenKeyspaces(['b', 'b'], ['b', 'a'])).to.deep.equal(['b'])
  })

  it('has a name of 1 to 40 letters, digits and a few signs', () => {
    for (const name of ['a', 'nightly-2026.01_31', 'x'.repeat(CUT_NAME_CHARS_MAX)])
      expect(checkCutName(name)).to.equal(name)
    for (const name of ['', 'a/1', '-a', 'a b', 'ä', 'a@1', 'x'.repeat(CUT_NAME_CHARS_MAX + 1)])
      expect(() => checkCutName(name), name).to.throw(TidemarkError, /name/)
  })
})
