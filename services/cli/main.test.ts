import { expect } from 'chai'
import { FakeServer } from '../client/server.fake.ts'
import { run, start, type Ran } from './run.fake.ts'

interface JsonRow {
  readonly key: string
  readonly value: string
  readonly version: number
  readonly token: string
}

describe('tidemark (command line)', () => {
  let server: FakeServer
  const tidemark = (args: readonly string[], input?: string | Buffer): Promise<Ran> =>
    run(server.address, args, input)
  const jsonOf = ({ out }: Ran): JsonRow => JSON.parse(out) as JsonRow

  beforeEach(async () => {
    server = await FakeServer.start()
  })
  afterEach(() => server.close())

  const ok = async (args: readonly string[], input?: string | Buffer): Promise<string> => {
    const ran = await tidemark(args, input)
    expect(ran.err, args.join(' ')).to.equal('')
    expect(ran.code).to.equal(0)
    return ran.out
  }

  describe('rows', () => {
    it('puts and gets, plain where the output is no terminal', async () => {
      expect(await ok(['put', 'greeting', 'hello'])).to.equal('1\n')
      expect(await ok(['get', 'greeting'])).to.equal('hello')
      expect(await ok(['get', 'greeting', '-o', 'table'])).to.match(
        /^KEY +PARTITION +VERSION +EXPIRES +VALUE\ngreeting +\d +1 +- +hello\n$/,
      )
      expect(jsonOf(await tidemark(['get', 'greeting', '-o', 'json']))).to.include({
        key: 'greeting',
        value: 'hello',
        version: 1,
      })
    })

    it('takes bytes from standard input and gives them back as they are', async () => {
      const bytes = Buffer.from([0, 1, 2, 10, 255, 254, 13, 10])
      await ok(['put', 'bytes', '-'], bytes)
      expect((await tidemark(['get', 'bytes'])).bytes.equals(bytes)).to.equal(true)
      expect(JSON.parse(await ok(['get', 'bytes', '-o', 'jsonl']))).to.include({
        value_base64: bytes.toString('base64'),
      })
      expect(await ok(['get', 'bytes', '-o', 'table'])).to.contain('\\x00\\x01\\x02\\x0a\\xff')
    })

    it('takes keys in hex and base64', async () => {
      await ok(['put', '--key-encoding', 'hex', '00ff', 'odd'])
      expect(await ok(['get', '--key-encoding', 'base64', 'AP8='])).to.equal('odd')
      expect(await ok(['scan', '--key-encoding', 'hex'])).to.equal('00ff\todd\n')
      expect(await ok(['scan'])).to.equal('\\\\x00\\\\xff\todd\n'.replaceAll('\\\\', '\\'))
      expect(await tidemark(['get', '--key-encoding', 'hex', '0g'])).to.include({
        code: 2,
        err: 'tidemark: the key 0g is not hex\n',
      })
    })

    it('gets several, leaving out the missing', async () => {
      await ok(['put', 'a', '1'])
      await ok(['put', 'c', '3'])
      expect(await ok(['get', 'a', 'b', 'c'])).to.equal('1\n3\n')
      expect((await tidemark(['get', 'x', 'y'])).code).to.equal(3)
    })

    it('puts on conditions, with expiry and content type', async () => {
      await ok(['put', 'a', '{}', '--create', '--ttl', '30m', '--content-type', 'application/json'])
      const row = await ok(['get', 'a', '-o', 'json'])
      expect(JSON.parse(row)).to.include({
        expires_at_ms: 1_000_000 + 1_800_000,
        content_type: 'application/json',
      })
      expect((await tidemark(['put', 'a', 'x', '--create'])).code).to.equal(4)
      await ok(['put', 'a', 'x', '--if-version', '1'])
      expect((await tidemark(['del', 'a', '--if-version', '1'])).code).to.equal(4)
    })

    it('increments, downwards too, and deletes', async () => {
      expect(await ok(['incr', 'n'])).to.equal('1\n')
      expect(await ok(['incr', 'n', '9007199254740993'])).to.equal('9007199254740994\n')
      expect(await ok(['incr', 'n', '-4'])).to.equal('9007199254740990\n')
      expect(JSON.parse(await ok(['incr', 'n', '-o', 'json']))).to.include({ number: '9007199254740991' })
      expect(await ok(['del', 'n', 'nothing'])).to.equal('')
      expect((await tidemark(['get', 'n'])).code).to.equal(3)
    })

    it('reads with a token what its owner has seen', async () => {
      const { token } = jsonOf(await tidemark(['put', 'a', '1', '-o', 'json']))
      await ok(['get', 'a', '--token', token])
      expect(server.arrivals.at(-1)).to.deep.include({ consistency: 2 })
      expect(server.arrivals.at(-1)?.token?.positions).to.have.length(1)
      await ok(['get', 'a', '--consistency', 'eventual'])
      expect(server.arrivals.at(-1)).to.deep.include({ consistency: 1, token: undefined })
    })
  })

  describe('scan', () => {
    beforeEach(() => {
      for (const key of ['a', 'user:1', 'user:2', 'user:3', 'z']) server.rows.put(key, `v\tof\n${key}`)
    })

    it('selects by prefix, range, limit and direction', async () => {
      expect(await ok(['scan', 'user:', '--keys-only'])).to.equal('user:1\nuser:2\nuser:3\n')
      expect(await ok(['scan', '--start', 'user:2', '--end', 'z', '--keys-only'])).to.equal(
        'user:2\nuser:3\n',
      )
      expect(await ok(['scan', '--reverse', '--limit', '2', '--keys-only'])).to.equal('z\nuser:3\n')
      expect(await ok(['scan', '--prefix', 'a'])).to.equal('a\tv\\tof\\na\n')
      expect(await ok(['scan', 'nothing'])).to.equal('')
    })

    it('writes JSON that parses, also of nothing', async () => {
      const rows = JSON.parse(await ok(['scan', '-o', 'json'])) as JsonRow[]
      expect(rows.map(({ key }) => key)).to.deep.equal(['a', 'user:1', 'user:2', 'user:3', 'z'])
      expect(JSON.parse(await ok(['scan', 'nothing', '-o', 'json']))).to.deep.equal([])
      const lines = (await ok(['scan', '-o', 'jsonl', '--keys-only'])).trim().split('\n')
      expect(lines.map((line) => Object.keys(JSON.parse(line) as object))).to.deep.include([
        'key',
        'version',
        'partition',
      ])
    })

    it('is quiet when its reader leaves', async () => {
      for (let n = 0; n < 5000; n += 1) server.rows.put(`many:${n}`, 'x'.repeat(100))
      const running = start(server.address, ['scan'])
      running.child.stdout?.once('data', () => running.child.stdout?.destroy())
      expect(await running.ended.catch(() => running.child.exitCode)).to.satisfy(
        (end: Ran | number | null) => typeof end !== 'object' || end === null || end.err === '',
      )
    })
  })

  describe('watch', () => {
    const lines = async (args: readonly string[], count: number, during: () => void): Promise<string[]> => {
      const before = server.watches.length
      const running = start(server.address, ['watch', ...args, '--count', String(count)])
      while (server.watches.length === before) await new Promise((resolve) => setTimeout(resolve, 5))
      during()
      const { out, code, err } = await running.ended
      expect(err).to.equal('')
      expect(code).to.equal(0)
      return out.trim().split('\n')
    }

    it('writes a line for each change', async () => {
      const seen = await lines(['user:'], 2, () => {
        server.rows.put('user:1', 'x')
        server.rows.put('other', 'x')
        server.rows.put('user:2', 'y')
      })
      expect(seen).to.deep.equal(['put\tuser:1\tx', 'put\tuser:2\ty'])
    })

    it('writes JSON with a token, from which it goes on', async () => {
      const [first = ''] = await lines(['-o', 'jsonl'], 1, () => server.rows.put('a', '1'))
      const { token, ...change } = JSON.parse(first) as JsonRow
      expect(change).to.include({ type: 'put', key: 'a', value: '1', version: 1 })
      server.rows.put('a', '2')
      expect(await lines(['--resume', token], 1, () => undefined)).to.deep.equal(['put\ta\t2'])
    })

    it('begins with the rows as they stand', async () => {
      server.rows.put('a', '1')
      const seen = await lines(['--initial'], 2, () => server.rows.put('b', '2'))
      expect(seen).to.deep.equal(['put\ta\t1', 'initial-end', 'put\tb\t2'])
    })

    it('ends with 0 on Ctrl-C', async () => {
      const running = start(server.address, ['watch'])
      while (server.watches.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      running.child.kill('SIGINT')
      expect(await running.ended).to.include({ code: 0, out: '', err: '' })
    })

    it('says when history is gone', async () => {
      const [first = ''] = await lines(['-o', 'jsonl'], 1, () => server.rows.put('a', '1'))
      server.rows.earliest = 100
      const { token } = JSON.parse(first) as JsonRow
      const { code, err } = await tidemark(['watch', '--resume', token])
      expect(err).to.match(/^tidemark: history is gone \(COMPACTED; start again .*\)\n$/)
      expect(code).to.equal(1)
    })
  })

  describe('txn', () => {
    it('reads words', async () => {
      await ok(['txn', '--if', 'lock missing', '--then', 'put lock me and you', '--then', 'incr n 2'])
      expect(await ok(['get', 'lock'])).to.equal('me and you')
      expect(await ok(['txn', '--if', 'n = 3', '--then', 'del n', '--else', 'get n'])).to.equal(
        'else\nn\t2\n',
      )
      expect((await tidemark(['txn', '--if', 'lock missing', '--then', 'put lock x'])).code).to.equal(4)
      expect(await ok(['txn', '--if', 'lock != x', '--if', 'n exists', '--then', 'del lock'])).to.equal(
        'then\n',
      )
    })

    it('reads JSON from an argument and from standard input', async () => {
      const json =
        '{"if":[{"key":"a","exists":false}],"then":[{"put":"a","value":{"x":[1]},"ttl_ms":1000},{"get":"a"}]}'
      const done = JSON.parse(await ok(['txn', json, '-o', 'json'])) as {
        succeeded: boolean
        results: JsonRow[]
      }
      expect(done.succeeded).to.equal(true)
      expect(done.results[1]?.value).to.equal('{"x":[1]}')
      const again =
        '{"if":[{"key":"a","version":7,"is":"greater"}],"else":[{"increment":"n","by":"5"},{"put":"b","value_base64":"/w=="}]}'
      expect(await ok(['txn', '-'], again)).to.equal('else\n')
      expect((await tidemark(['get', 'b'])).bytes).to.deep.equal(Buffer.of(255))
    })

    it('says what it cannot read', async () => {
      for (const [args, message] of [
        [['{"if":[{"key":"a","exist":true}]}'], 'if[0] has no field "exist"'],
        [['{"then":[{"put":"a"}]}'], 'then[0] has no "value"'],
        [['{"then":[{"put":"a","get":"b"}]}'], 'then[0] must have one of'],
        [['{"then":{}}'], '"then" is no array'],
        [['{'], 'the transaction is not JSON'],
        [['--if', 'a is b'], 'cannot read the condition "a is b"'],
        [['--then', 'put a'], 'cannot read the step "put a"'],
        [[], 'give the transaction as JSON'],
      ] as const) {
        const ran = await tidemark(['txn', ...args])
        expect(ran.err, args.join(' ')).to.contain(message)
        expect(ran.code).to.equal(2)
      }
      expect(server.arrivals).to.deep.equal([])
    })
  })

  describe('the rest', () => {
    it('shows history, outcome and keyspaces', async () => {
      server.rows.put('a', '1')
      server.rows.put('a', '2')
      expect(await ok(['history', 'a'])).to.equal('2\tput\t2\n1\tput\t1\n')
      expect((await tidemark(['history', 'b'])).code).to.equal(3)
      expect(await ok(['outcome', '0', '7'])).to.match(/^applied\t-\t7\t-\t1970/)
      await ok(['keyspace', 'create', 'orders', '--partitions', '3'])
      expect(await ok(['keyspace', 'list'])).to.contain('orders\tfake.orders\t3\tkey\t')
      await ok(['put', '--keyspace', 'orders', 'a', 'x'])
      expect((await tidemark(['put', '--keyspace', 'nowhere', 'a', 'x'])).code).to.equal(3)
    })

    it('teaches with examples on every command', async () => {
      const commands = [
        'serve',
        'get',
        'put',
        'del',
        'incr',
        'scan',
        'watch',
        'txn',
        'history',
        'outcome',
        'cluster',
      ]
      commands.push('import', 'export', 'bench')
      await Promise.all(
        commands.map(async (command) => {
          expect(await ok([command, '--help']), command).to.contain('Examples:')
        }),
      )
    })
  })

  describe('failures', () => {
    it('has an exit code and one line for each kind', async () => {
      for (const [args, code, pattern] of [
        [['get'], 2, /^tidemark: missing required argument 'key'\n$/],
        [['gte', 'a'], 2, /^tidemark: unknown command 'gte'\n\(Did you mean get\?\)\n$/],
        [['get', 'a', '--nonsense'], 2, /^tidemark: unknown option '--nonsense'\n$/],
        [['put', 'a', 'x', '--ttl', '10'], 2, /^tidemark: .*write a number and its unit/],
        [['put', 'a', 'x', '--if-version', '-1'], 2, /^tidemark: .*whole number/],
        [
          ['put', 'a', 'x', '--create', '--if-version', '1'],
          2,
          /^tidemark: --create and --if-version exclude/,
        ],
        [
          ['put', '', 'x'],
          2,
          /^tidemark: the key has no byte \(KEY_EMPTY; use a key of 1 to 4,096 bytes\)\n$/,
        ],
        [['get', 'a', '--token', 'rubbish!'], 2, /^tidemark: this is no token.*\(TOKEN_INVALID; .*\)\n$/],
        [['get', 'a', '-o', 'xml'], 2, /^tidemark: option '-o, --output <format>' argument 'xml' is invalid/],
      ] as const) {
        const ran = await tidemark(args)
        expect(ran.err, args.join(' ')).to.match(pattern)
        expect(ran.code, args.join(' ')).to.equal(code)
        expect(ran.out).to.equal('')
      }
    })

    it('says at once that there is no node', async () => {
      const { address } = server
      await server.down()
      for (const args of [['put', 'a', '1'], ['scan'], ['watch'], ['cluster']]) {
        const ran = await run(address, args)
        expect(ran.err).to.match(
          /^tidemark: no answer from .*ECONNREFUSED.*\(NODE_UNREACHABLE; check the address.*\)\n$/,
        )
        expect(ran.code).to.equal(5)
      }
      await server.up()
    })

    it('gives up at its deadline', async () => {
      server.delayMs = 5000
      const ran = await tidemark(['put', 'a', '1', '--timeout', '2s'])
      expect(ran.err).to.contain('whether the write was applied is unknown (DEADLINE_EXCEEDED;')
      expect(ran.code).to.equal(6)
    })
  })
})
