/** A node that is started with what the chart gives it: what the chart asks of it, by its probes, jobs and tests, is there. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { expect } from 'chai'
import { z } from 'zod'
import {
  HealthCheckRequest,
  HealthCheckResponse_ServingStatus,
  HealthClient,
} from '../../proto/generated/grpc/health/v1/health.ts'
import { run } from '../../services/cli/run.fake.ts'
import { readConfig } from '../../services/node/config.ts'
import { type NodeProcess, startNode } from '../../services/node/process.fixture.ts'
import { makeCertificates } from '../tools/certificates.ts'
import { cases } from './cases.ts'
import { podsOf, render, variables, type KubernetesObject } from './render.ts'

/** What Kubernetes fills in, for a pod with the ordinal 0. */
const FILLED = {
  TIDEMARK_NODE_ID: 'sea-tidemark-0',
  TIDEMARK_GRPC_ADVERTISE: 'sea-tidemark-0.sea-tidemark-headless.shore.svc.cluster.local:7400',
  TIDEMARK_ZONE: 'a',
}

const all = await cases()

describe('a node that the chart starts', function () {
  this.timeout(60_000)
  let folder: string
  let node: NodeProcess
  let objects: readonly KubernetesObject[]
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-chart-'))
    objects = await render({ ...all.get('examples/dev.yaml'), fullnameOverride: 'tide' })
    const settings = Object.fromEntries(
      Object.entries({ ...variables(objects), ...FILLED }).filter(([name]) => !name.endsWith('_LISTEN')),
    )
    node = await startNode({ ...settings, TIDEMARK_DATA_DIR: folder })
  })
  after(async () => {
    await node?.end('SIGTERM')
    await rm(folder, { recursive: true, force: true })
  })

  it('takes the settings of every case', async () => {
    const certificates = await makeCertificates(folder)
    const { cert, key } = await certificates.issue('user')
    await writeFile(join(folder, 'text'), 'mark')
    const headers = join(folder, 'headers')
    await writeFile(headers, 'api-key=mark')
    const mounted: Readonly<Record<string, string>> = {
      CA: certificates.ca,
      CERT: cert,
      KEY: key,
      HEADERS: headers,
    }
    for (const [name, values] of all) {
      const settings = Object.entries({ ...variables(await render(values)), ...FILLED }).map(
        ([variable, value]): [string, string] => {
          const [, file = ''] = /([A-Z]+)_FILE$/.exec(variable) ?? []
          return [variable, variable.endsWith('_FILE') ? (mounted[file] ?? join(folder, 'text')) : value]
        },
      )
      expect(() => readConfig(Object.fromEntries(settings)), name).not.to.throw()
    }
  })

  it('serves the health that the probes ask for', async () => {
    const probe = z.object({ grpc: z.object({ service: z.string() }) })
    const [, pod] = podsOf(objects.filter(({ kind }) => kind === 'StatefulSet'))[0] ?? []
    const { startupProbe, readinessProbe, livenessProbe } = z
      .looseObject({ startupProbe: probe, readinessProbe: probe, livenessProbe: probe })
      .parse(pod?.containers[0])
    const health = new HealthClient(node.address, credentials.createInsecure())
    for (const { grpc } of [startupProbe, readinessProbe, livenessProbe]) {
      const answer = await new Promise((resolve, reject) =>
        health.check(HealthCheckRequest.create(grpc), (error, { status }) =>
          error === null ? resolve(status) : reject(error),
        ),
      )
      expect(answer, grpc.service).to.equal(HealthCheckResponse_ServingStatus.SERVING)
    }
    health.close()
  })

  it('carries out the jobs and the test of the chart, again and again', async () => {
    const commands = podsOf(objects)
      .filter(([name]) => !name.startsWith('StatefulSet'))
      .flatMap(([, pod]) => [...pod.initContainers, ...pod.containers])
    expect(commands.map(({ args }) => args[0])).to.have.members(['keyspace', 'put', 'get'])
    for (let round = 0; round < 2; round++) {
      for (const { args, env } of commands) {
        expect(env.find(({ name }) => name === 'TIDEMARK_SERVER')?.value).to.equal('tide:7400')
        const { code, out, err } = await run(node.address, args)
        expect(code, err).to.equal(0)
        if (args[0] === 'get') expect(out).to.equal('high water')
      }
    }
  })

  it('has the metric that it would be scaled by', async () => {
    const scaled = await render(all.get('autoscaling on lag, watched by the Prometheus operator') ?? {})
    const triggers = z.object({ triggers: z.array(z.object({ metadata: z.object({ query: z.string() }) })) })
    const spec = scaled.find(({ kind }) => kind === 'ScaledObject')?.['spec']
    const name =
      /tidemark_[a-z_]+/.exec(triggers.parse(spec).triggers[0]?.metadata.query ?? '')?.[0] ?? 'none'
    const metrics = await fetch(`http://${node.httpAddress}/metrics`).then((answer) => answer.text())
    expect(metrics).to.contain(`\n${name}{`)
  })
})
