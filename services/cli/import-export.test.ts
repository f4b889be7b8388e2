import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { FakeServer } from '../client/server.fake.ts'
import { linesOf } from './lines.ts'
import { run, type Ran } from './run.fake.ts'

describe('tidemark import and export', () => {
  let server: FakeServer
  let folder: string
  const tidemark = (args: readonly string[], input?: string | Buffer): Promise<Ran> =>
    run(server.address, args, input)
  const file = async (name: string, content: string | Buffer): Promise<string> => {
    await writeFile(join(folder, name), content)
    return join(folder, name)
  }
  const stored = (): Record<string, string> =>
    Object.fromEntries(server.rows.all().map(({ key, value }) => [key.toString(), value.toString()]))

  beforeEach(async () => {
    server = await FakeServer.start()
    folder = await mkdtemp(join(tmpdir(), 'tidemark-import-'))
  })
  afterEach(async () => {
    await server.close()
    await rm(folder, { recursive: true })
  })

  it('reads JSONL: text, JSON values, bytes, ttl and content type', async () => {
    const lines = [
      '{"key":"a","value":"1"}',
      '{"key":"b","value":{"x":[1,"\u2028"]},"content_type":"application/json"}\r',
      '',
      '{"key_base64":"AP8=","value_base64":"/w==","ttl_ms":5000}',
      '{"key":"gone","value":"x","expires_at_ms":1}',
    ]
    const ran = await tidemark(['import', await file('rows.jsonl', `\ufeff${lines.join('\n')}`)])
    expect(ran.err).to.equal('')
    expect(ran.out).to.match(/^imported 3 rows in .* s \(\d+\/s\), left out 1 that had expired\n$/)
    expect(stored()).to.include({ a: '1', b: '{"x":[1,"\u2028"]}' })
    const bytes = server.rows.get(Buffer.of(0, 255))
    expect(bytes?.value).to.deep.equal(Buffer.of(255))
    expect(bytes?.expiresAtMs).to.be.greaterThan(0)
  })

  it('takes the key from a field or a column and keeps the whole object', async () => {
    await tidemark(['import', '-', '--key-field', 'id', '--key-prefix', 'user:'], '{"id":7,"name":"Ada"}\n')
    const csv = await file('cities.csv', 'name,country,"long, name"\nParis,FR,"a ""quoted""\nline"\n')
    expect((await tidemark(['import', csv, '--key-column', 'name'])).code).to.equal(0)
    expect(stored()).to.deep.equal({
      'user:7': '{"id":7,"name":"Ada"}',
      Paris: JSON.stringify({ name: 'Paris', country: 'FR', 'long, name': 'a "quoted"\nline' }),
    })
  })

  it('stops at a bad line, naming it, after what stands before it', async () => {
    const path = await file('bad.jsonl', '{"key":"a","value":"1"}\n{"key":\n{"key":"c","value":"3"}\n')
    const ran = await tidemark(['import', path])
    expect(ran.code).to.equal(1)
    expect(ran.err).to.match(/^tidemark: stopped after 1 rows were written\ntidemark: line 2: no JSON: .*\n$/)
    expect(stored()).to.deep.equal({ a: '1' })
  })

  it('skips bad lines where it is asked to, and counts them', async () => {
    const lines = [
      '{"key":"a","value":"1"}',
      'x',
      '[]',
      '{"value":"1"}',
      '{"key":"b"}',
      '{"key":"","value":"1"}',
    ]
    lines.push(
      '{"key":"c","value":"1","ttl_ms":0}',
      `{"key":"${'k'.repeat(5000)}","value":"1"}`,
      '{"key":"z","value":"26"}',
    )
    const ran = await tidemark(
      ['import', '--skip-bad', '-'],
      Buffer.concat([Buffer.from(`${lines.join('\n')}\n`), Buffer.of(0xff)]),
    )
    expect(ran.code).to.equal(0)
    expect(ran.out).to.contain('imported 2 rows')
    expect(ran.out).to.contain('skipped 8 bad lines')
    for (const text of [
      'line 2: no JSON',
      'line 3: no JSON object',
      'line 4: there is no key',
      'line 5: there is no value',
    ]) {
      expect(ran.err).to.contain(text)
    }
    expect(ran.err)
      .to.contain('line 7: a ttl of 0 ms')
      .and.contain('KEY_TOO_LONG')
      .and.contain('line 10: the line is not UTF-8')
    expect(stored()).to.deep.equal({ a: '1', z: '26' })
  })

  it('names bad CSV', async () => {
    const ran = await tidemark([
      'import',
      '--skip-bad',
      await file('bad.csv', 'key,value\na,1\nb,2,3\nc,3\n'),
    ])
    expect(ran.out).to.contain('imported 2 rows')
    expect(ran.err).to.match(/^tidemark: line 3: no CSV: .*\(skipped\)\n$/)
    const noKey = await tidemark(['import', await file('other.csv', 'x,y\n1,2\n')])
    expect(noKey.err).to.contain('name the column that holds the key with --key-column: the columns are x, y')
    expect(noKey.code).to.equal(2)
    const wrong = await tidemark(['import', await file('other.csv', 'x,y\n1,2\n'), '--key-column', 'z'])
    expect(wrong.err).to.contain('there is no column z')
    const bytes = await tidemark(['import', await file('bytes.csv', Buffer.from([0x6b, 0xff, 0xfe]))])
    expect(bytes.err).to.contain('not UTF-8')
    expect(bytes.code).to.equal(1)
  })

  it('says that there is no file, and that the node refuses', async () => {
    const missing = await tidemark(['import', join(folder, 'nothing.jsonl')])
    expect(missing.code).to.equal(1)
    expect(missing.err).to.match(/^tidemark: ENOENT: no such file.*\n$/)
    server.refuse = () => 'PARTITION_STOPPED'
    const refused = await tidemark(['import', '-'], '{"key":"a","value":"1"}\n')
    expect(refused.err).to.contain('PARTITION_STOPPED')
    expect(refused.code).to.equal(5)
  })

  for (const format of ['jsonl', 'csv']) {
    it(`gives back what ${format} export wrote, bytes too`, async () => {
      const values = fc.sample(fc.uint8Array({ maxLength: 60 }), { numRuns: 300, seed: 7 })
      const texts = fc.sample(fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }), {
        numRuns: 300,
        seed: 8,
      })
      const rows = new Map<string, string>()
      for (const [index, value] of values.entries()) {
        const odd = Buffer.concat([Buffer.of(index & 0xff, 0xff), value])
        const key = index % 2 === 0 ? odd : Buffer.from(texts[index] ?? '')
        const content = index % 3 === 0 ? Buffer.from(texts[index] ?? '') : Buffer.from(value)
        rows.set(key.toString('hex'), content.toString('hex'))
      }
      server.rows.putAll(
        [...rows].map(([key, value]) => [Buffer.from(key, 'hex'), Buffer.from(value, 'hex')]),
      )
      const path = join(folder, `rows.${format}`)
      expect((await tidemark(['export', path])).out).to.equal(`exported ${rows.size} rows to ${path}\n`)
      const piped = await tidemark(['export', '--format', format])
      expect(piped.out).to.equal(await readFile(path, 'utf8'))
      const before = server.rows.all()
      await tidemark(['del', '--key-encoding', 'hex', ...rows.keys()])
      expect(server.rows.all()).to.deep.equal([])
      expect(await tidemark(['import', path])).to.include({ err: '', code: 0 })
      const plain = server.rows.all().map(({ key, value }) => [key, value])
      expect(plain).to.deep.equal(before.map(({ key, value }) => [key, value]))
    })
  }

  it('exports a prefix', async () => {
    server.rows.put('a', '1')
    server.rows.put('user:1', '2')
    expect((await tidemark(['export', '--prefix', 'user:'])).out).to.equal('{"key":"user:1","value":"2"}\n')
  })

  it('splits lines wherever the chunks end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'binary' })),
        fc.integer({ min: 1, max: 7 }),
        async (texts, size) => {
          const lines = texts.map((text) => text.replaceAll(/[\n\r\ufeff]/g, ''))
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
          const chunks = async function* () {
            for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
          }
          const found: string[] = []
          for await (const line of linesOf(chunks())) found.push(line.bytes?.toString() ?? '')
          expect(found).to.deep.equal(lines.map((line) => Buffer.from(line).toString()))
        },
      ),
      { numRuns: 200 },
    )
  })
})
