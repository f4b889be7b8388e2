import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { PROJECT_ROOT } from '../../../../infra/project-root.ts'
import { REJECTIONS } from '../../mutation.ts'
import { CoreDriver } from '../core-driver.ts'
import {
  GOLDEN_FOLDER,
  decodeGolden,
  encodeGolden,
  goldenNames,
  hashLines,
  readGolden,
  readHashes,
  replayGolden,
} from './golden.ts'

const KIB = 1024

describe('golden logs', () => {
  for (const name of goldenNames())
    it(`${name} comes to the hashes that it came to, on Node ${process.version}`, () => {
      const log = readGolden(name)
      const expected = hashLines(readHashes(name))
      expect(hashLines(replayGolden(log, 1))).to.equal(expected)
      expect(hashLines(replayGolden(log, 64))).to.equal(expected)
    })

  it('hold every kind of record, of effect and of rejection', () => {
    const seen = new Set<string>()
    for (const name of goldenNames()) {
      const { partition, partitions, records } = readGolden(name)
      const driver = new CoreDriver(partition, partitions)
      for (const record of records) {
        const operation = record.headers.get('tm-op')
        seen.add(operation === undefined ? 'short form' : Buffer.from(operation).toString('latin1'))
        for (const { outcomes, changes } of driver.run([record]).effects) {
          for (const outcome of outcomes) {
            seen.add(outcome.status === 'applied' ? 'applied' : outcome.reason)
            if (outcome.duplicate) seen.add('duplicate')
          }
          for (const { kind } of changes) seen.add(kind)
        }
      }
    }
    const operations = [
      'short form',
      'put',
      'delete',
      'increment',
      'txn',
      'pack',
      'barrier',
      'lead',
      'tick',
      'mark',
      'format',
    ]
    const effects = ['applied', 'duplicate', 'deleted', 'expired']
    expect([...seen]).to.include.members([...operations, ...effects, ...Object.keys(REJECTIONS)])
  })

  it('are read as they were written', () => {
    const [name = ''] = goldenNames()
    const log = readGolden(name)
    expect(decodeGolden(encodeGolden(log))).to.deep.equal(log)
  })

  it('never change: no commit has touched one that was there', function () {
    if (!existsSync(join(PROJECT_ROOT, '.git'))) return this.skip()
    const folder = 'streams/core/testing/golden'
    const git = (...words: readonly string[]): string =>
      execFileSync('git', ['-C', PROJECT_ROOT, ...words], { encoding: 'utf8' }).trim()
    const files = [`${folder}/*.gz`, `${folder}/*.hashes`]
    expect(git('log', '--diff-filter=MDRT', '--format=%h', '--', ...files)).to.equal('')
    expect(
      git('status', '--porcelain', '--', ...files)
        .split('\n')
        .filter((line) => /^.?[MDRT]/.test(line)),
    ).to.deep.equal([])
  })

  it('take less than a megabyte', () => {
    const bytes = readdirSync(GOLDEN_FOLDER).reduce(
      (sum, name) => sum + statSync(join(GOLDEN_FOLDER, name)).size,
      0,
    )
    expect(bytes).to.be.lessThan(KIB * KIB)
  })
})
