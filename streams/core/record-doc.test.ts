/** What proto/record.md tells producers in other languages holds: its vectors, its examples byte for byte, its headers, its reasons. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { Format, Pack, Transaction } from '../../proto/generated/tidemark/v1/record.ts'
import { PROJECT_ROOT } from '../../infra/project-root.ts'
import { CATALOGUE } from './catalogue.ts'
import { decodeRecord } from './decode.ts'
import { PackWriter, writeTransaction } from './messages.ts'
import { REJECTIONS } from './mutation.ts'
import type { RowMutation } from './mutation.ts'
import { murmur2, partitionOf } from './partitioner.ts'
import { CoreDriver, show } from './testing/core-driver.ts'
import { draft, logged } from './testing/records.ts'
import type { Offset } from './types.ts'

const text = readFileSync(join(PROJECT_ROOT, 'proto/record.md'), 'utf8')

/** The bytes of the fenced examples, without what is said beside them. */
const examples = [...text.matchAll(/```hex\n([^`]*)```/g)].map(([, block]) =>
  Buffer.from((block ?? '').replaceAll(/#.*$/gm, '').replaceAll(/\s/g, ''), 'hex'),
)
const [pack = Buffer.alloc(0), txn = Buffer.alloc(0)] = examples
const bytes = (content: string): Buffer => Buffer.from(content)

describe('proto/record.md', () => {
  it('gives murmur2 vectors that hold', () => {
    const rows = [...text.matchAll(/^\|\s*`([^`]+)`\s*\|\s*(-?\d+)\s*\|\s*(\d+)\s*\|\s*(\d+)\s*\|$/gm)]
    expect(rows).to.have.length(9)
    for (const [, key, hash, positive, partition] of rows) {
      const hashed = bytes(key ?? '')
      expect(murmur2(hashed), key).to.equal(Number(hash))
      expect(murmur2(hashed) & 0x7fffffff, key).to.equal(Number(positive))
      expect(partitionOf(hashed, 16, { kind: 'key' }), key).to.equal(Number(partition))
    }
  })

  it('shows a pack byte for byte', () => {
    const writer = new PackWriter()
    const mutations: readonly RowMutation[] = [
      { kind: 'put', key: bytes('a'), value: bytes('hello'), ttlMs: 60_000, requestId: 's/1' },
      { kind: 'increment', key: bytes('n'), delta: -7n, ifVersion: 0 as Offset },
      { kind: 'delete', key: bytes('b') },
    ]
    for (const mutation of mutations) writer.add(mutation)
    expect(pack.toString('hex')).to.equal(writer.finish().toString('hex'))
    expect(Pack.decode(pack).mutations.map(({ key }) => key.toString())).to.deep.equal(['a', 'n', 'b'])
    const [effects] = new CoreDriver().run([logged(0, 0, draft(null, pack, { 'tm-op': 'pack' }))]).effects
    expect(effects === undefined ? '' : show(effects)).to.equal(
      'ok v0, ok v0 =-7, ok; a:=hello until 60000; n:=-7',
    )
  })

  it('shows a transaction byte for byte', () => {
    const value = writeTransaction({
      kind: 'txn',
      compares: [{ key: bytes('a'), operator: 'equal', target: 'version', version: 300 as Offset }],
      thenChanges: [{ kind: 'put', key: bytes('a'), value: bytes('1') }],
      elseChanges: [{ kind: 'increment', key: bytes('n'), delta: 1n }],
    })
    expect(txn.toString('hex')).to.equal(value.toString('hex'))
    expect(Transaction.decode(txn).compares[0]?.target).to.deep.equal({ $case: 'version', value: 300 })
    const [effects] = new CoreDriver().run([logged(0, 0, draft(null, txn, { 'tm-op': 'txn' }))]).effects
    expect(effects === undefined ? '' : show(effects)).to.equal('ok else; n:=1')
  })

  it('has barriers with a name: the first one tells where it stands, whoever repeats it', () => {
    const barrier = (value: string | null) =>
      draft(null, value, { 'tm-op': 'txn', 'tm-request-id': 'cut:nightly' })
    const { effects } = new CoreDriver().run([
      logged(3, 0, barrier('')),
      logged(4, 0, draft('a', '1')),
      logged(7, 0, barrier(null)),
    ])
    const [first, , again] = effects
    expect(first?.outcomes).to.deep.equal([
      { status: 'applied', offset: 3, succeeded: true, duplicate: false },
    ])
    expect(again?.outcomes).to.deep.equal([
      { status: 'applied', offset: 3, succeeded: true, duplicate: true },
    ])
    expect([first?.changes, again?.changes]).to.deep.equal([[], []])
  })

  it('names every header that is read, and no other', () => {
    const named = [...text.matchAll(/^\| `(tm-[a-z-]+)` /gm)].map(([, name]) => name ?? '')
    for (const name of named)
      expect(decodeRecord(logged(0, 0, draft('k', 'v', { [name]: '1' }))), name).to.satisfy(
        (command: ReturnType<typeof decodeRecord>) =>
          command.kind === 'row' || (command.kind === 'rejected' && command.reason === 'UNKNOWN_OPERATION'),
      )
    expect(named).to.deep.equal(['tm-op', 'tm-if-version', 'tm-ttl-ms', 'tm-request-id', 'tm-epoch'])
  })

  it('tells of every setting what may change', () => {
    const named = [...text.matchAll(/^\| `([a-z_]+)` +\|/gm)].map(([, name]) => name ?? '')
    const fields = Object.keys(Format.create()).map((name) =>
      name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    )
    expect(named.filter((name) => fields.includes(name))).to.deep.equal(fields)
  })

  it('names every reason of a rejection, and only reasons that exist', () => {
    const named = new Set([...text.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)].map(([, reason]) => reason ?? ''))
    expect([...named]).to.include.members(Object.keys(REJECTIONS))
    for (const reason of named) expect(CATALOGUE, reason).to.have.property(reason)
  })
})
