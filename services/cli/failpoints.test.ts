import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect } from 'chai'
import { CLI } from './run.fake.ts'

describe('TIDEMARK_FAILPOINT', function () {
  this.timeout(120_000)
  let directory: string
  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'tidemark-failpoint-'))))
  afterEach(() => rm(directory, { recursive: true, force: true }))

  async function serve(
    failpoint: string,
    dev = '1',
  ): Promise<{ code: unknown; signal: unknown; err: string }> {
    const child = spawn(process.execPath, [CLI, 'serve'], {
      env: {
        TIDEMARK_DATA_DIR: join(directory, 'data'),
        TIDEMARK_GRPC_LISTEN: '127.0.0.1:0',
        TIDEMARK_HTTP_LISTEN: '127.0.0.1:0',
        TIDEMARK_DEV: dev,
        TIDEMARK_FAILPOINT: failpoint,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.on('data', (line: Buffer) => {
      if (line.includes('listening on')) child.kill('SIGTERM')
    })
    const [err] = await Promise.all([text(child.stderr), once(child, 'exit')])
    return { code: child.exitCode, signal: child.signalCode, err }
  }

  it('kills the process at the place, at the time that was asked for', async () => {
    expect(await serve('catalogue.claim.after')).to.include({ signal: 'SIGKILL' })
    expect(await serve('catalogue.claim.after'), 'claimed already').to.include({ signal: null, code: 0 })
    expect(await serve('store.open.before:2')).to.include({ signal: 'SIGKILL' })
    expect(await serve('store.open.before:3')).to.include({ signal: null, code: 0 })
  })

  it('tells the places that were come to', async () => {
    const { err, code } = await serve('trace')
    expect(code).to.equal(0)
    expect(err.split('\n')).to.include.members([
      'failpoint log.identity.before:1',
      'failpoint store.write.after:8',
      'failpoint store.close.after:2',
    ])
  })

  it('is refused outside of development, and where it is none', async () => {
    const refused = await serve('log.append.before', '0')
    expect(refused.err).to.match(/^tidemark: TIDEMARK_FAILPOINT: .*needs TIDEMARK_DEV=1/)
    expect(refused.code).to.equal(1)
    for (const wrong of ['log.append', 'log.append.before:0', 'x', 'trace:1x'])
      expect((await serve(wrong)).err, wrong).to.match(/TIDEMARK_FAILPOINT: must be trace, or a failpoint/)
  })
})
