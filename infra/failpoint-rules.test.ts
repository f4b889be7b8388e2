import { expect } from 'chai'
import { failpointFaults, failpointNames } from './failpoint-rules.ts'
import { readSources } from './source-files.ts'
import type { Source } from './source-rules.ts'

const faultsOf = (path: string, text: string): readonly string[] => failpointFaults([{ path, text }])

describe('the failpoints of the sources', () => {
  let all: readonly Source[]
  before(() => (all = readSources()))

  it('are many, and their list is made from the code', () => {
    const names = failpointNames(all)
    expect(names.length).to.be.at.least(100)
    expect(names).to.include.members([
      'log.append.before',
      'log.append.after',
      'replica.write.after',
      'kafka.produce.before',
      'kafka.fetch.after',
      'snapshot.rename.before',
      's3.complete.after',
    ])
    const grown = [...all, { path: 'streams/new.ts', text: "failpoint('new.place', () => 1)" }]
    expect(failpointNames(grown)).to.include.members(['new.place.before', 'new.place.after'])
  })

  for (const [path, text] of [
    ['streams/a.ts', "import { writeFile } from 'node:fs/promises'\nawait writeFile('a', '')"],
    ['streams/a.ts', "import { renameSync as move } from 'node:fs'\nmove('a', 'b')"],
    ['services/node/a.ts', "import fs from 'node:fs'\nfs.writeFileSync('a', '')"],
    ['streams/a.ts', "import { fsync } from 'node:fs'\nconst flush = promisify(fsync)\nawait flush(1)"],
    ['streams/replica/a.ts', 'this.#store.write(batch)'],
    ['streams/store/rocksdb-x.ts', 'rocksdb.batch_write(database, batch, undefined)'],
    ['streams/snapshot/a.ts', 'await file.sync()'],
    ['streams/snapshot/s3-store.ts', 'await client.send(new PutObjectCommand({}))'],
    ['streams/log/kafka/a.ts', 'await channel.call(fetchCall(parts), 1)'],
    [
      'streams/log/kafka/a.ts',
      'const request = produceCall(parts)\nguarded("a.b", () => channel.call(request))',
    ],
    ['streams/membership/kafka/a.ts', 'await coordinator.aside(leaveGroupCall(group, []))'],
    ['streams/log/kafka/a.ts', 'await admin((broker) => broker.deleteRecords({ topics }))'],
  ] as const)
    it(`are asked for: ${text.split('\n').at(-1) ?? ''}`, () => {
      const [fault] = faultsOf(path, text)
      expect(fault).to.match(/is not inside of failpoint/)
    })

  it('are not asked for where nothing changes, nor in tests', () => {
    expect(
      faultsOf('streams/a.ts', "import { readFile } from 'node:fs/promises'\nreadFile('a')"),
    ).to.deep.equal([])
    expect(faultsOf('streams/a.ts', 'writeFile("not of node:fs")')).to.deep.equal([])
    expect(faultsOf('streams/replica/a.test.ts', 'store.write(batch)')).to.deep.equal([])
    expect(
      faultsOf('streams/replica/a.ts', "failpoint('a.b', () => {\n store.write(batch) })"),
    ).to.deep.equal([])
  })

  it('have a name of their own', () => {
    const twice = "failpoint('a.b', () => 1); failpoint('a.b', () => 2)"
    expect(faultsOf('streams/a.ts', twice)[0]).to.contain('stands in streams/a.ts too')
    for (const name of ["'a'", "'A.b'", '`a.${b}`', 'name'])
      expect(faultsOf('streams/a.ts', `failpoint(${name}, () => 1)`)[0]).to.contain('no name of a failpoint')
  })
})
