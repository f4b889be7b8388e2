/** The vectors that proto/record.md gives to producers in other languages are those of the partitioner. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { PROJECT_ROOT } from '../../infra/project-root.ts'
import { murmur2, partitionOf } from './partitioner.ts'

describe('proto/record.md', () => {
  it('gives murmur2 vectors that hold', () => {
    const text = readFileSync(join(PROJECT_ROOT, 'proto/record.md'), 'utf8')
    const rows = [...text.matchAll(/^\| `([^`]+)` \| (-?\d+) \| (\d+) \| (\d+) \|$/gm)]
    expect(rows).to.have.length(6)
    for (const [, key, hash, positive, partition] of rows) {
      const bytes = Buffer.from(key ?? '')
      expect(murmur2(bytes), key).to.equal(Number(hash))
      expect(murmur2(bytes) & 0x7fffffff, key).to.equal(Number(positive))
      expect(partitionOf(bytes, 16, { kind: 'key' }), key).to.equal(Number(partition))
    }
  })
})
