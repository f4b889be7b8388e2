/** Every script of k6 and every profile of ghz runs against a real node: shortened, at a rate that any machine bears, none may fail. */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { PROJECT_ROOT } from '../../infra/project-root.ts'
import { type NodeProcess, startNode } from '../../services/node/process.fixture.ts'
import { loadProgram } from './programs.ts'

const run = promisify(execFile)

/** k6: a threshold failed. */
const THRESHOLDS = 99
/** In how much of its time each is tried; smoke as it is. */
const SCALES: Readonly<Record<string, number>> = {
  'smoke.js': 1,
  'load.js': 0.01,
  'stress.js': 0.005,
  'soak.js': 0.0003,
  'spike.js': 0.03,
  'breakpoint.js': 0.005,
}

describe('the load of users', function () {
  this.timeout(180_000)
  let folder = ''
  let node: NodeProcess

  before(async function () {
    this.timeout(0)
    await loadProgram('k6')
    folder = await mkdtemp(join(tmpdir(), 'tidemark-k6-'))
    node = await startNode({ TIDEMARK_DATA_DIR: join(folder, 'data'), TIDEMARK_PARTITIONS: '4' })
  })

  after(async () => {
    await node.end('SIGTERM')
    await rm(folder, { recursive: true, force: true })
  })

  const k6 = async (script: string, settings: Readonly<Record<string, string | number>>) => {
    const given = Object.entries({ SERVER: node.address, KEYS: 50, ...settings })
    const args = given.flatMap(([name, value]) => ['-e', `${name}=${value}`])
    const path = join(PROJECT_ROOT, 'load-tests', 'k6', script)
    const env = { ...process.env, K6_NO_USAGE_REPORT: 'true' }
    return run(await loadProgram('k6'), ['run', '--quiet', '--no-color', ...args, path], { env }).then(
      ({ stdout }) => ({ code: 0, stdout }),
      (error: unknown) => {
        const { code, stdout } = error as { code: number; stdout: string }
        if (code !== THRESHOLDS) throw error
        return { code, stdout }
      },
    )
  }

  for (const [script, scale] of Object.entries(SCALES)) {
    it(`k6 run ${script}`, async () => {
      // breakpoint.js goes up to twenty times the rate.
      const rate = script === 'breakpoint.js' ? 2 : 20
      const { code, stdout } = await k6(script, { SCALE: scale, RATE: rate, P99_MS: 5000 })
      expect(stdout).to.match(/checks_succeeded\S*: 100\.00%/)
      expect(code).to.equal(0)
    })
  }

  it('k6 says where a threshold was not met', async () => {
    const { code, stdout } = await k6('smoke.js', { SCALE: 0.2, P99_MS: 0 })
    expect(stdout).to.contain('✗')
    expect(code).to.equal(THRESHOLDS)
  })

  it('each profile of ghz, puts first', async () => {
    const profiles = await readdir(join(PROJECT_ROOT, 'load-tests', 'ghz'))
    const names = profiles.filter((name) => name.endsWith('.json')).sort((a) => (a === 'put.json' ? -1 : 1))
    expect(names).to.have.length(3)
    for (const name of names) {
      const path = join(PROJECT_ROOT, 'load-tests', 'ghz', name)
      const short = ['--duration=3s', '--load-max-duration=3s', '--rps=400', '--format=json']
      const { stdout } = await run(await loadProgram('ghz'), [`--config=${path}`, ...short, node.address], {
        cwd: PROJECT_ROOT,
        maxBuffer: 2 ** 26,
      })
      const { statusCodeDistribution } = JSON.parse(stdout) as { statusCodeDistribution: object }
      expect(Object.keys(statusCodeDistribution), name).to.deep.equal(['OK'])
    }
  })
})
