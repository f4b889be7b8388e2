import { expect } from 'chai'
import { WatchMark } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { connect, TidemarkError, type Tidemark, type Watch, type WatchItem } from './index.ts'
import { FakeServer } from './server.fake.ts'
import { tokenText } from './session-token.ts'

describe('client streams', () => {
  let server: FakeServer
  let db: Tidemark

  beforeEach(async () => {
    server = await FakeServer.start()
    db = connect({ server: server.address })
  })
  afterEach(async () => {
    await db.close()
    await server.close()
  })

  const reasonOf = async (promise: Promise<unknown>): Promise<string> => {
    const failure = await promise.then(
      () => expect.fail('it succeeded'),
      (error: unknown) => error,
    )
    expect(failure).to.be.instanceOf(TidemarkError)
    return (failure as TidemarkError).reason
  }

  describe('scan', () => {
    const keys = Array.from({ length: 1000 }, (_, n) => `k${String(n).padStart(4, '0')}`)
    beforeEach(() => {
      for (const key of keys) server.rows.put(key, `value of ${key}`)
      server.rowsPerMessage = 7
    })

    const scanned = async (options: Parameters<Tidemark['scan']>[0]): Promise<string[]> => {
      const found: string[] = []
      for await (const row of db.scan(options)) found.push(row.keyText())
      return found
    }

    it('gives all rows in order, or those selected', async () => {
      expect(await scanned({})).to.deep.equal(keys)
      expect(await scanned({ prefix: 'k099' })).to.deep.equal(keys.slice(990))
      expect(await scanned({ start: 'k0003', end: 'k0006' })).to.deep.equal(keys.slice(3, 6))
      expect(await scanned({ reverse: true, limit: 3 })).to.deep.equal(keys.slice(-3).reverse())
      expect(await scanned({ limit: 0 })).to.deep.equal([])
    })

    it('advances the session', async () => {
      await scanned({ prefix: 'nothing' })
      await db.get('a', { consistency: 'session' })
      expect(server.arrivals.at(-1)?.token?.positions).to.have.length(2)
    })

    it('frees the call when its reader leaves', async () => {
      for await (const row of db.scan()) {
        expect(row.keyText()).to.equal('k0000')
        break
      }
      expect(await scanned({ limit: 1 })).to.deep.equal(['k0000'])
    })

    it('fails when its snapshot is lost, or goes on in a newer one where that is asked for', async () => {
      server.delayMs = 1
      const cut = (n: number): void => {
        if (n % 300 === 200) server.drop()
      }
      const read = async (restartable: boolean): Promise<string[]> => {
        const found: string[] = []
        for await (const row of db.scan({ restartable })) {
          found.push(row.keyText())
          cut(found.length)
        }
        return found
      }
      expect(await reasonOf(read(false))).to.equal('NODE_UNREACHABLE')
      expect(await read(true)).to.deep.equal(keys)
      expect(server.scans.length).to.be.greaterThan(3)
    })

    it('gives the reason of the node, and ends with the client', async () => {
      expect(await reasonOf(db.keyspace('nowhere').scan().next())).to.equal('KEYSPACE_NOT_FOUND')
      server.delayMs = 1
      const rows = db.scan()
      await rows.next()
      await db.close()
      const rest = async (): Promise<void> => {
        while ((await rows.next()).done !== true);
      }
      expect(await reasonOf(rest())).to.equal('CANCELLED')
    })
  })

  describe('watch', () => {
    /** Reads until `enough` says so, and what it read as "type key=value". */
    const read = async (
      watch: Watch,
      enough: (items: readonly WatchItem[]) => boolean,
    ): Promise<WatchItem[]> => {
      const items: WatchItem[] = []
      for await (const item of watch) {
        items.push(item)
        if (enough(items)) break
      }
      return items
    }
    const short = (item: WatchItem): string =>
      'row' in item ? `${item.type} ${item.row.keyText()}=${item.row.text()}` : item.type

    it('sees what is written after it has started', async () => {
      const watch = db.watch({ prefix: 'a' })
      await watch.started
      await db.put('a1', 'x')
      await db.put('b1', 'x')
      await db.delete('a1')
      const items = await read(watch, ({ length }) => length === 2)
      expect(items.map(short)).to.deep.equal(['put a1=x', 'deleted a1='])
    })

    it('resumes after lost connections and slowness without a gap or a repetition', async () => {
      const watch = db.watch()
      await watch.started
      const writer = (async () => {
        for (let n = 0; n < 600; n += 1) {
          server.rows.put(`k${n % 5}`, String(n))
          if (n % 100 === 50) server.drop()
          if (n % 100 === 90) server.cutWatches()
          if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 3))
        }
      })()
      const items = await read(watch, ({ length }) => length === 600)
      await writer
      for (const key of ['k0', 'k1', 'k2', 'k3', 'k4']) {
        const values = items.flatMap((item) =>
          'row' in item && item.row.keyText() === key ? [Number(item.row.text())] : [],
        )
        expect(values).to.deep.equal(Array.from({ length: 120 }, (_, n) => n * 5 + Number(key[1])))
      }
      expect(server.watches.length).to.be.greaterThan(3)
      expect(new Set(items.map(short)).size).to.equal(600)
    })

    it('resumes in another client from the token of any change', async () => {
      const first = db.watch()
      await first.started
      for (let n = 0; n < 20; n += 1) server.rows.put(`k${n}`, String(n))
      const all = await read(first, ({ length }) => length === 20)
      for (const at of [0, 7, 18]) {
        const resume = all[at]?.token ?? ''
        const rest = await read(db.watch({ resume }), ({ length }) => length === 19 - at)
        expect(rest.map(short).sort()).to.deep.equal(
          all
            .slice(at + 1)
            .map(short)
            .sort(),
        )
      }
    })

    it('begins with the rows as they stand, and again where they were cut', async () => {
      server.rows.put('a', '1')
      server.rows.put('b', '2')
      const whole = await read(
        db.watch({ initialRows: true }),
        (items) => items.at(-1)?.type === 'initial-end',
      )
      expect(whole.map(short)).to.deep.equal(['put a=1', 'put b=2', 'initial-end'])
      expect(whole.map(({ token }) => token === undefined)).to.deep.equal([true, true, false])

      server.stallInitial = true
      const watch = db.watch({ initialRows: true })
      const items = await read(watch, (some) => {
        if (some.length === 1) {
          server.stallInitial = false
          server.drop()
        }
        return some.at(-1)?.type === 'initial-end'
      })
      expect(items.map(short)).to.deep.equal(['put a=1', 'restart', 'put a=1', 'put b=2', 'initial-end'])
    })

    it('fails with COMPACTED, or restarts', async () => {
      const first = db.watch()
      await first.started
      server.rows.put('a', '1')
      const [change] = await read(first, ({ length }) => length === 1)
      server.rows.earliest = 50
      const resume = change?.token ?? ''
      const failed = db.watch({ resume })
      expect(await reasonOf(failed.next())).to.equal('COMPACTED')
      expect(await reasonOf(failed.started)).to.equal('COMPACTED')
      const items = await read(
        db.watch({ resume, onCompacted: 'restart' }),
        (some) => some.at(-1)?.type === 'initial-end',
      )
      expect(items.map(short)).to.deep.equal(['restart', 'put a=1', 'initial-end'])
    })

    it('delivers a delta anew when it was cut, from where it stood before', async () => {
      for (const value of ['1', '2', '3']) server.rows.put('a', value)
      const partition = server.rows.all()[0]?.partition ?? 0
      const at = (offset: number) => ({
        logIdentity: 'fake-log',
        positions: [{ keyspace: 'default', partition, offset }],
      })
      const elsewhere = { logIdentity: 'fake-log', positions: [] }
      const events = server.rows.initialEvents()
      const begin = { events: [], token: elsewhere, mark: WatchMark.WATCH_MARK_DELTA_BEGIN }
      const rows = { events, token: elsewhere, mark: WatchMark.WATCH_MARK_UNSPECIFIED }
      const end = { events: [], token: at(3), mark: WatchMark.WATCH_MARK_INITIAL_END }
      server.watchScripts.push([begin, rows], [begin, rows, end])
      const resume = tokenText(at(1))
      const items = await read(db.watch({ resume }), (some) => {
        if (some.length === 2) server.drop()
        return some.at(-1)?.type === 'initial-end'
      })
      expect(items.map(short)).to.deep.equal([
        'delta-begin',
        'put a=3',
        'delta-begin',
        'put a=3',
        'initial-end',
      ])
      expect(items.map(({ token }) => token)).to.deep.equal([
        resume,
        resume,
        resume,
        resume,
        tokenText(at(3)),
      ])
      expect(server.watches.map(({ resume: asked }) => asked?.positions[0]?.offset)).to.deep.equal([1, 1])
    })

    it('yields progress only where that is asked for', async () => {
      const [mark] = await read(db.watch({ progressMs: 100 }), ({ length }) => length === 1)
      expect(mark?.type).to.equal('progress')
      expect(mark?.token).to.be.a('string')
      expect(server.watches.at(-1)?.progressIntervalMs).to.equal(100)
    })

    it('ends while it waits: by return() and with the client', async () => {
      const watch = db.watch()
      await watch.started
      const waiting = watch.next()
      await watch.return?.()
      expect((await waiting).done).to.equal(true)
      const other = db.watch()
      await other.started
      const pending = other.next()
      await db.close()
      expect((await pending).done).to.equal(true)
    })

    it('refuses what contradicts itself', () => {
      expect(() => db.watch({ key: 'a', prefix: 'b' })).to.throw(TidemarkError)
      expect(() => db.watch({ resume: '', initialRows: true })).to.throw(TidemarkError)
      expect(() => db.watch({ resume: '!' })).to.throw(TidemarkError)
    })
  })
})
