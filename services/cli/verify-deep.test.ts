/** The words about contents, and the command against real nodes. */
import { expect } from 'chai'
import { must } from '../../streams/core/assert.ts'
import { rowKey } from '../../streams/core/keys.ts'
import { partition } from '../../streams/core/types.ts'
import { knownPrefix } from '../../streams/replica/catalogue.ts'
import { type RealCluster, type RealMember, realCluster } from '../node/routing/real-cluster.fixture.ts'
import { run } from './run.fake.ts'
import { type Found, compare } from './verify-deep.ts'

const hashed = (hash: string, ...parts: readonly string[]): Found => ({
  kind: 'hashed',
  hash,
  parts: parts.map((each) => ({ name: 'rows', until: Buffer.from(each), hash })),
})
const said = (...found: readonly Found[]): string => {
  const { verdict, differing } = compare(new Map(found.map((one, at) => [`n${at}`, one])))
  return [verdict, ...differing].join(', ')
}
const replaced: Found = { kind: 'replaced', why: 'it is wrong' }
const silent: Found = { kind: 'silent', why: 'no answer' }
const hashing: Found = { kind: 'hashing', entries: 5 }

describe('cluster verify --deep', () => {
  it('says what the answers say together', () => {
    expect(said(hashed('x'))).to.equal('alone')
    expect(said(hashed('x'), hashed('x'), hashed('x'))).to.equal('equal')
    expect(said(hashed('x', 'k'), hashed('y', 'k'))).to.equal('different, rows up to "k"')
    expect(said(hashed('x'), replaced)).to.equal('different')
    expect(said(hashed('x'), hashed('x'), silent)).to.equal('open')
    expect(said(hashed('x'), hashing)).to.equal('open')
    expect(said(hashed('x'), hashed('y'), silent)).to.equal('different')
    expect(said(silent)).to.equal('open')
  })

  describe('with real nodes', () => {
    let cluster: RealCluster
    beforeEach(async () => {
      cluster = await realCluster({ nodes: 3, partitions: 2, replication: 3 })
      for (let at = 0; at < 40; at++) await cluster.at(0).db.put(`key-${at}`, `value ${at}`)
    })
    afterEach(() => cluster.close())

    const verify = (...args: readonly string[]) =>
      run(cluster.at(0).door.address, ['cluster', 'verify', '--deep', ...args])
    const damage = ({ store }: RealMember, key: string): void => {
      const place = cluster.at(0).node.keyspace('default').partitionOf(Buffer.from(key))
      const prefix = must(knownPrefix(store, 'test.default', partition(place)), 'a prefix')
      const stored = rowKey(prefix, Buffer.from(key))
      const row = Buffer.from(must(store.getMany([stored])[0], 'the row'))
      row[row.length - 1] = 0x21
      const batch = store.batch()
      batch.put(stored, row)
      store.write(batch)
    }

    it('finds equal ones equal, a damaged one different, and equal again once it is built anew', async () => {
      const equal = await verify()
      expect(equal.err).to.equal('')
      expect(equal.out).to.match(/^default\t0\tequal\t\d+\tn0 n1 n2\ndefault\t1\tequal\t\d+\tn0 n1 n2\n$/)
      expect(equal.code).to.equal(0)
      damage(cluster.at(1), 'key-7')
      const found = await verify('-o', 'json')
      expect(found.code).to.equal(1)
      expect(found.err).to.match(/^tidemark: replicas of default\/\d differ at offset \d+/)
      const verdicts = (JSON.parse(found.out) as { readonly verdict: string }[]).map(({ verdict }) => verdict)
      expect(verdicts.sort()).to.deep.equal(['different', 'equal'])
      await cluster.until(() =>
        cluster.members.every(({ node }) => node.replicas().every(({ state }) => state === 'live')),
      )
      expect(cluster.members.map(({ stops }) => stops)).to.deep.equal([[], ['REPLICA_DIVERGED'], []])
      const rebuild = (node: string) =>
        run(cluster.at(0).door.address, ['cluster', 'rebuild', 'default', '1', '--node', node])
      expect((await rebuild('n9')).err).to.equal('tidemark: there is no node n9; there are n0, n1, n2\n')
      expect((await rebuild('n2')).out).to.equal('n2 builds default/1 again from n0, n1\n')
      await cluster.until(() =>
        cluster.members.every(({ node }) => node.replicas().every(({ state }) => state === 'live')),
      )
      const again = await verify()
      expect(again.err).to.equal('')
      expect(again.code).to.equal(0)
    })
  })
})
