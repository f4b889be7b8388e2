/** Runs the rules of source-rules.ts over the tree; each is also shown a planted bad source. */
import { expect } from 'chai'
import { failpointFaults } from './failpoint-rules.ts'
import { readSources, SCRIPT } from './source-files.ts'
import {
  FILE_LINES_LONG,
  FILE_LINES_MAX,
  fileLength,
  importDirection,
  isTest,
  libraryPlaces,
  lineCount,
  lineLength,
  noBarrels,
  noDates,
  noLeftovers,
  pureCore,
  tellingNames,
  untested,
} from './source-rules.ts'
import type { Rule, Source } from './source-rules.ts'

/** Product files without a test of their own. It may fall, not rise: give a new file a test, then lower this. */
const UNTESTED_MAX = 10

/** The rule finds nothing in the sources, finds each bad one, and lets each good one pass. */
function holds(
  rule: Rule,
  sources: readonly Source[],
  bad: readonly Source[],
  good: readonly Source[],
): void {
  for (const planted of bad) expect(rule(planted), `planted: ${planted.path}`).to.have.length.greaterThan(0)
  for (const planted of good) expect(rule(planted), `planted: ${planted.path}`).to.deep.equal([])
  expect(sources.flatMap(rule)).to.deep.equal([])
}

describe('the sources', () => {
  const all = readSources()
  const scripts = all.filter(({ path }) => SCRIPT.test(path))
  const source = (path: string, text = ''): Source => ({ path, text })

  it('are there', () => {
    expect(scripts.map(({ path }) => path)).to.include.members([
      'streams/core/apply.ts',
      'infra/source.test.ts',
    ])
  })

  it('import from services to streams to proto, never back', () => {
    holds(
      importDirection,
      scripts,
      [
        source('streams/a.ts', "import { x } from '../services/node/x.ts'"),
        source('streams/b.ts', "const x = await import('../services/node/x.ts')"),
        source('proto/c.ts', "import type { X } from '../streams/core/x.ts'"),
        source('services/d.ts', "export * from '../infra/kafka/start.ts'"),
      ],
      [
        source('services/a.ts', "import { x } from '../streams/core/x.ts'"),
        source('services/a.test.ts', "import { x } from '../infra/kafka/start.ts'"),
      ],
    )
  })

  it('keep the core pure', () => {
    holds(
      pureCore,
      scripts,
      [
        source('streams/core/a.ts', "import { Subject } from 'rxjs'"),
        source('streams/core/b.ts', "import type { Store } from '../store/store.ts'"),
        source('streams/core/c.ts', "import { readFile } from 'node:fs/promises'"),
      ],
      [source('streams/core/a.ts', "import { x } from './b.ts'\nimport { crc32 } from 'node:zlib'")],
    )
  })

  it('measure by what has elapsed, never by dates', () => {
    holds(
      noDates,
      scripts,
      [
        source('streams/node/a.ts', 'const ms = this.#clock.now() - since'),
        source('streams/replica/b.ts', 'const end = Date.now() + 5'),
      ],
      [
        source('streams/node/a.ts', 'const ms = clock.elapsed() - since'),
        source('streams/deadline.ts', 'const left = deadline - clock.now()'),
        source('streams/node/b.test.ts', 'const end = Date.now() + 5'),
      ],
    )
  })

  it('import each library in its place only', () => {
    holds(
      libraryPlaces,
      scripts,
      [
        source('streams/replica/a.ts', "import { Kafka } from 'kafkajs'"),
        source('services/node/b.ts', "import type { Kafka } from 'kafkajs'"),
        source('streams/store/memory.ts', "import { RocksLevel } from '@nxtedition/rocksdb'"),
        source('streams/c.ts', "import { status } from '@grpc/grpc-js'"),
        source('services/node/d.ts', "import x from 'left-pad'"),
      ],
      [
        source('streams/log/kafka/a.ts', "import { Kafka } from 'kafkajs'"),
        source('streams/replica/a.kafka.test.ts', "import { Kafka } from 'kafkajs'"),
        source('streams/store/rocksdb-binding.ts', "import { RocksLevel } from '@nxtedition/rocksdb'"),
      ],
    )
  })

  it('have a failpoint around every call that changes what outlives the process, or asks Kafka', () => {
    expect(failpointFaults(all)).to.deep.equal([])
  })

  it('hold nothing left over', () => {
    holds(
      noLeftovers,
      all.filter(({ path }) => path !== 'infra/source.test.ts'),
      [
        source('a.ts', '// TODO: later'),
        source('b.sh', '# FIXME'),
        source('c.test.ts', "describe.only('x', () => {})"),
        source('d.test.ts', "  it.skip('x')"),
        source('f.test.ts', "xit('x')"),
      ],
      [source('a.ts', 'await exit(1); queue.skip(3)'), source('b.test.ts', 'if (windows) this.skip()')],
    )
  })

  it('have no line that is too long to read', () => {
    const long = 'x'.repeat(119)
    holds(
      lineLength,
      scripts,
      [source('a.ts', `call(${long})`), source('b.ts', `  // ${'why '.repeat(40)}`)],
      [source('a.ts', `call('${long}', "${long}")`), source('streams/core/catalogue.ts', `row(${long})`)],
    )
  })

  it(`have at most ${FILE_LINES_MAX} lines`, () => {
    holds(
      fileLength,
      scripts,
      [
        source('a.ts', '\n'.repeat(401)),
        source('a.test.ts', '\n'.repeat(601)),
        source('streams/core/limits.ts', '\n'.repeat(601)),
      ],
      [
        source('a.ts', '\n'.repeat(400)),
        source('a.contract.ts', '\n'.repeat(600)),
        source('streams/core/limits.ts', '\n'.repeat(600)),
      ],
    )
    const long = scripts.filter((script) => lineCount(script) > FILE_LINES_LONG && !isTest(script.path))
    for (const script of long) console.log(`      long: ${script.path}, ${lineCount(script)} lines`)
  })

  it('have no barrels', () => {
    holds(
      noBarrels,
      scripts.filter(({ path }) => path.endsWith('.ts')),
      [
        source('streams/core/index.ts', 'export const x = 1'),
        source('streams/core/all.ts', "export * from './a.ts'\nexport type { B } from './b.ts'"),
      ],
      [
        source('services/client/index.ts', "export * from './a.ts'"),
        source('a.ts', "export * from './b.ts'\nexport const x = 1"),
      ],
    )
  })

  it('have names that say what they are', () => {
    holds(
      tellingNames,
      scripts,
      [source('streams/utils.ts'), source('streams/log-helpers.ts'), source('streams/fetchLoop.ts')],
      [source('streams/fetch-loop.kafka.test.ts'), source('streams/core/limits.ts')],
    )
  })

  it('are tested', () => {
    const planted = [
      source('streams/beside.ts', 'export const x = 1'),
      source('streams/beside.kafka.test.ts'),
      source('streams/imported.ts', 'export const x = 1'),
      source('streams/other.test.ts', "import { x } from './imported.ts'"),
      source('streams/types.ts', "import type { Y } from './y.ts'\nexport interface X { readonly y: Y }"),
      source('streams/log/log.ts', "import { part } from './part.ts'\nimport { x } from '../alone.ts'"),
      source('streams/log/part.ts', 'export const part = 1'),
      source('streams/log/log.test.ts', "import { log } from './log.ts'"),
      source('streams/alone.ts', 'export const x = 1'),
    ]
    expect(untested(planted)).to.deep.equal(['streams/alone.ts'])
    const found = untested(scripts)
    for (const path of found) console.log(`      no test of its own: ${path}`)
    expect(found.length, `new files without a test: ${found.join(', ')}`).to.be.at.most(UNTESTED_MAX)
  })
})
