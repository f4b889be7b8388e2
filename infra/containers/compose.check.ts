/** The Compose file as Docker Compose reads it, and the load balancer's configuration before real nodes. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { parse } from 'yaml'
import { z } from 'zod'
import { run as tidemark } from '../../services/cli/run.fake.ts'
import { connect } from '../../services/client/index.ts'
import { type Environment, readConfig } from '../../services/node/config.ts'
import { type NodeProcess, startNode } from '../../services/node/process.fixture.ts'
import { freePorts } from '../kafka/ports.ts'
import { PROJECT_ROOT } from '../project-root.ts'
import { goTool } from '../tools/go-tools.ts'

const run = promisify(execFile)

const FOLDER = join(PROJECT_ROOT, 'infra', 'compose')

const composeFile = z.object({
  services: z.record(
    z.string(),
    z.looseObject({
      image: z.string(),
      environment: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
      volumes: z.array(z.string()).default([]),
      ports: z.array(z.string()).default([]),
      depends_on: z.record(z.string(), z.unknown()).default({}),
    }),
  ),
})

describe('the Compose file', function () {
  this.timeout(25 * 60_000)
  const read = async (): Promise<z.infer<typeof composeFile>> =>
    composeFile.parse(parse(await readFile(join(FOLDER, 'compose.yaml'), 'utf8'), { merge: true }))

  it('is one, by the schema and the rules of the specification', async () => {
    await run(await goTool('compose-check'), [join(FOLDER, 'compose.yaml')])
  })

  it('would be told where it is none', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-compose-'))
    const text = await readFile(join(FOLDER, 'compose.yaml'), 'utf8')
    await writeFile(join(folder, 'compose.yaml'), text.replaceAll('restart:', 'restarts:'))
    const answer: unknown = await run(await goTool('compose-check'), [join(folder, 'compose.yaml')]).catch(
      (error: unknown) => error,
    )
    await rm(folder, { recursive: true })
    expect(String(answer)).to.contain('restarts')
  })

  it('gives nodes settings that they take, and one Kafka of the version that is tested', async () => {
    const { services } = await read()
    const text = await readFile(join(PROJECT_ROOT, 'infra', 'kafka', 'pom.xml'), 'utf8')
    const version = /<kafka\.version>([^<]+)</.exec(text)?.[1]
    const of = (prefix: string): string[] => Object.keys(services).filter((name) => name.startsWith(prefix))
    expect(of('kafka-').map((name) => services[name]?.image)).to.deep.equal(
      Array(3).fill(`apache/kafka:${version}`),
    )
    expect(of('node-')).to.have.lengthOf(3)
    for (const name of of('node-')) {
      const env: Environment = Object.fromEntries(
        Object.entries(services[name]?.environment ?? {}).map(([key, value]) => [key, String(value)]),
      )
      const config = readConfig({ ...env, DD_AGENT_HOST: '', TIDEMARK_GRPC_LISTEN: '0.0.0.0:7400' })
      expect(config).to.deep.include({
        log: 'kafka',
        nodeId: name,
        grpcAdvertise: { host: name, port: 7400 },
      })
      expect(config.kafkaBrokers).to.deep.equal(of('kafka-').map((broker) => `${broker}:9092`))
    }
  })

  it('mounts what is there, and opens ports on loopback only', async () => {
    const { services } = await read()
    for (const [name, { image, volumes, ports }] of Object.entries(services)) {
      for (const port of ports) expect(port, name).to.match(/^127\.0\.0\.1:/)
      if (image !== 'tidemark') expect(image, name).to.match(/:v?\d+\.\d+\.\d+/)
      for (const volume of volumes) {
        const [from = ''] = volume.split(':')
        if (from.startsWith('.')) expect(existsSync(join(FOLDER, from)), `${name}: ${from}`).to.equal(true)
      }
    }
  })
})

describe('the load balancer', function () {
  this.timeout(120_000)
  let folder: string
  let node: NodeProcess | undefined
  let [grpc, http] = [0, 0]
  let stop: (() => Promise<void>) | undefined

  before(async function () {
    const nginx = await nginxCommand()
    if (nginx === undefined) {
      if ((process.env['CI'] ?? '') !== '')
        throw new Error('CI has no nginx: infra/tools/install.sh installs it')
      console.warn('SKIPPED for want of nginx: the configuration of the load balancer is not tried')
      return this.skip()
    }
    folder = await mkdtemp(join(tmpdir(), 'tidemark-balancer-'))
    const ports = await freePorts(2)
    ;[grpc = 0, http = 0] = ports
    // It is known by a name that nobody can resolve: what comes, comes through the balancer.
    node = await startNode({
      TIDEMARK_GRPC_ADVERTISE: 'node-1.invalid:7400',
      TIDEMARK_DATA_DIR: join(folder, 'data'),
    })
    // The file as it is, at other addresses; two of the nodes are away.
    const text = (await readFile(join(FOLDER, 'nginx.conf'), 'utf8'))
      .replace('node-1:7400', node.address)
      .replace('node-1:7480', node.httpAddress)
      .replaceAll(/node-[23]:\d+/g, '127.0.0.1:1')
      .replace('listen 7400 ', `listen 127.0.0.1:${grpc} `)
      .replace('listen 7480;', `listen 127.0.0.1:${http};`)
      .replaceAll('/tmp/nginx', join(folder, 'nginx'))
    const file = join(folder, 'nginx.conf')
    await writeFile(file, text)
    await run(nginx, ['-t', '-c', file])
    const child = spawn(nginx, ['-c', file, '-g', 'daemon off;'], { stdio: 'ignore' })
    stop = async () => {
      child.kill('SIGTERM')
      if (child.exitCode === null) await once(child, 'exit')
    }
    for (let tries = 0; tries < 200 && !(await isReady(http)); tries++) await sleep(50)
  })
  after(async () => {
    await stop?.()
    await node?.end('SIGTERM')
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  it('hands gRPC through: single calls, scans, watches, pipelines', async () => {
    const server = `127.0.0.1:${grpc}`
    // Each command is a connection of its own, and may be meant for a node that is away: none of them may fail.
    for (let call = 0; call < 8; call++) {
      const { code, err } = await tidemark(server, ['put', `key-${call}`, 'value'])
      expect(code, err).to.equal(0)
    }
    const db = connect({ server, discover: false })
    const watching = (async () => {
      const seen = new Set<string>()
      for await (const event of db.watch({ prefix: 'tide-' })) {
        if ('row' in event) seen.add(event.row.text())
        if (seen.size === 100) break
      }
      return seen.size
    })()
    await Promise.all(Array.from({ length: 100 }, (_, index) => db.put(`tide-${index}`, String(index))))
    const rows = []
    for await (const row of db.scan({ prefix: 'tide-' })) rows.push(row)
    expect(rows).to.have.lengthOf(100)
    expect(await watching).to.equal(100)
    await db.close()
  })

  it('hands HTTP through', async () => {
    expect((await fetch(`http://127.0.0.1:${http}/readyz`)).status).to.equal(200)
  })
})

const isReady = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )

/** Debian has it where only root's PATH leads. */
async function nginxCommand(): Promise<string | undefined> {
  const there = ['nginx', '/usr/sbin/nginx']
  for (const command of there) {
    const found = await run(command, ['-v']).then(
      () => true,
      () => false,
    )
    if (found) return command
  }
  return undefined
}
