/** The image: linted, built step by step as its Dockerfile says, and started with a root that cannot be written. */
import { type ChildProcess, execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chown, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { ValidationSeverity, validate } from 'dockerfile-utils'
import { VERSION } from '../../services/node/package-root.ts'
import { freePorts } from '../kafka/ports.ts'
import { DOCKERFILE, isSent, stages } from './dockerfile.ts'
import { type Image, buildImage, whyNoImage } from './image.ts'

const run = promisify(execFile)
const USER = 65532

describe('the Dockerfile', () => {
  it('has no fault that a linter sees', async () => {
    const problems = validate(await readFile(DOCKERFILE, 'utf8'), {
      deprecatedMaintainer: ValidationSeverity.ERROR,
      instructionCasing: ValidationSeverity.ERROR,
      instructionCmdMultiple: ValidationSeverity.ERROR,
      instructionEntrypointMultiple: ValidationSeverity.ERROR,
      instructionHealthcheckMultiple: ValidationSeverity.ERROR,
      instructionJSONInSingleQuotes: ValidationSeverity.ERROR,
      instructionWorkdirRelative: ValidationSeverity.ERROR,
      directiveCasing: ValidationSeverity.ERROR,
      emptyContinuationLine: ValidationSeverity.ERROR,
    })
    expect(
      problems.map(({ message, range }) => `${range.start.line + 1}: ${JSON.stringify(message)}`),
    ).to.deep.equal([])
  })

  it('makes an image of one base by version, with a numbered user and the labels that registries show', async () => {
    const all = await stages()
    expect(new Set(all.map(({ base }) => base)).size).to.equal(1)
    expect(all[0]?.base).to.match(/^node:\d+\.\d+\.\d+-bookworm-slim$/)
    const last = all.at(-1)
    expect(last?.user).to.equal(`${USER}:${USER}`)
    expect(last?.labels).to.include.members(
      ['title', 'description', 'licenses', 'version', 'revision'].map(
        (label) => `org.opencontainers.image.${label}`,
      ),
    )
    expect(await readFile(DOCKERFILE, 'utf8')).to.contain(`ARG VERSION=${VERSION}\n`)
  })

  it('is read with the stages that it copies from', async () => {
    const steps = (await stages()).at(-1)?.steps ?? []
    expect(steps.flatMap((step) => (step.does === 'copy' ? [step.from] : []))).to.deep.equal([
      'dependencies',
      'build',
    ])
  })

  it('sends its builder sources only', async () => {
    const rules = (await readFile(`${DOCKERFILE}.dockerignore`, 'utf8')).trim().split('\n')
    for (const path of ['package.json', 'proto/tidemark/v1/a.proto', 'services/cli/main.ts'])
      expect(isSent(path, rules), path).to.equal(true)
    for (const path of [
      'data/log',
      '.git/config',
      '.env',
      'node_modules/a',
      'proto/generated/a.ts',
      'infra/node_modules/a',
    ])
      expect(isSent(path, rules), path).to.equal(false)
  })
})

describe('the image', function () {
  this.timeout(20 * 60_000)
  let image: Image
  let data: string
  before(async function () {
    const why = await whyNoImage()
    if (why !== undefined) {
      if ((process.env['CI'] ?? '') !== '') throw new Error(`the image cannot be built: ${why}`)
      console.warn(`SKIPPED: the image is not built: ${why}`)
      this.skip()
    }
    image = await buildImage()
    data = await mkdtemp(join(tmpdir(), 'tidemark-image-data-'))
    await chown(data, USER, USER)
  })
  after(async () => {
    await image?.remove()
    if (data !== undefined) await rm(data, { recursive: true, force: true })
  })

  it('serves as nobody, with a root that cannot be written, and ends when it is asked to', async () => {
    const [grpc = 0, http = 0] = await freePorts(2)
    const env = { TIDEMARK_GRPC_LISTEN: `127.0.0.1:${grpc}`, TIDEMARK_HTTP_LISTEN: `127.0.0.1:${http}` }
    const node = image.start(env, data)
    const output = saidBy(node)
    while (node.exitCode === null && !(await isReady(http))) await sleep(50)
    expect(node.exitCode, node.exitCode === null ? '' : await output).to.equal(null)
    const status = await readFile(`/proc/${node.pid}/status`, 'utf8')
    expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).to.equal(String(USER))

    const inside = async (...args: readonly string[]): Promise<string> => {
      const child = image.enter(node, args, { TIDEMARK_SERVER: `127.0.0.1:${grpc}` })
      const said = saidBy(child)
      await once(child, 'exit')
      return said
    }
    const command = (...args: readonly string[]): Promise<string> => inside('tidemark', ...args)
    expect(await command('--version')).to.equal(`${VERSION}\n`)
    expect(await inside('sh', '-c', 'touch /app/file')).to.contain('Read-only file system')
    await command('put', 'greeting', 'hello')
    expect(await command('get', 'greeting')).to.equal('hello')
    node.kill('SIGTERM')
    if (node.exitCode === null) await once(node, 'exit')
    expect(node.exitCode, await output).to.equal(0)
  })

  it('holds what runs and nothing else', async () => {
    expect(await readdir(join(image.files, 'app'))).to.have.members([
      'LICENSE',
      'dist',
      'node_modules',
      'package.json',
      'proto',
    ])
    const names = await readdir(join(image.files, 'app', 'dist'), { recursive: true })
    expect(names.filter((name) => /\.(test|fake|fixture|contract|child)\.|\.ts$/.test(name))).to.deep.equal(
      [],
    )
    for (const absent of [
      'mocha',
      'typescript',
      '@nxtedition/rocksdb/deps',
      '@nxtedition/rocksdb/prebuilds/darwin-arm64',
    ])
      expect(existsSync(join(image.files, 'app', 'node_modules', absent)), absent).to.equal(false)
    const { stdout } = await run('du', ['-sm', join(image.files, 'app')])
    console.log(`      ${stdout.split('\t')[0]} MB on top of the base image`)
    expect(Number.parseInt(stdout)).to.be.lessThan(MEGABYTES_MAX)
  })
})

/** On top of the base image. */
const MEGABYTES_MAX = 120

const isReady = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )

const saidBy = async ({ stdout, stderr }: ChildProcess): Promise<string> =>
  (stdout === null ? '' : await text(stdout)) + (stderr === null ? '' : await text(stderr))
