/** The chart against Helm, against Kubernetes and what extends it, and against the settings of a node. `npm run check:charts`. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { SETTINGS } from '../../services/node/settings.ts'
import { DRAIN_MS } from '../../streams/core/limits.ts'
import { goTool } from '../tools/go-tools.ts'
import { KUBERNETES } from '../tools/kubernetes.ts'
import { KAFKA, REFUSED, cases } from './cases.ts'
import { CHART, generated, standing } from './generated.ts'
import { helm, podsOf, render, variables } from './render.ts'
import { LOCATION, kubernetesSchemas } from './schemas.ts'
import { ofTheChart } from './settings.ts'

const run = promisify(execFile)

const all = await cases()

describe('the chart', function () {
  this.timeout(60_000)
  before('the tools', async function () {
    this.timeout(25 * 60_000)
    await goTool('helm')
    await kubernetesSchemas()
  })

  it('holds the files, names and README that are made from elsewhere', async () => {
    const files = await generated()
    for (const [path, expected] of files) {
      const found = await readFile(join(CHART, path), 'utf8').catch(() => 'nothing')
      expect(found, `${path}: run \`npm run write:charts\``).to.equal(expected)
    }
    expect([...(await standing())].filter((path) => !files.has(path))).to.deep.equal([])
  })

  it('passes its own unit tests', async () => {
    const done = await run(await goTool('helm-unittest'), ['--strict', CHART]).catch(
      (error: unknown) => error,
    )
    if (done instanceof Error) expect.fail('stdout' in done ? String(done.stdout) : String(done))
  })

  for (const [name, values] of all) {
    it(`lints and is what Kubernetes takes, old and new: ${name}`, async () => {
      await helm('lint', values)
      const yaml = await helm('template', values)
      for (const version of Object.values(KUBERNETES))
        expect(await conformance(yaml, version), `Kubernetes ${version}`).to.equal('')
    })
  }

  it('would see a field that Kubernetes does not know', async () => {
    const yaml = (await helm('template', KAFKA)).replace('minReadySeconds:', 'minReadyMinutes:')
    expect(await conformance(yaml, KUBERNETES.newest)).to.contain('minReadyMinutes')
  })

  for (const [what, values, said] of REFUSED) {
    it(`refuses ${what}`, async () => {
      const answer: unknown = await helm('template', values).catch((error: unknown) => error)
      expect(answer).to.be.instanceOf(Error)
      expect(String(answer)).to.match(said)
    })
  }
})

/** @returns what is wrong; nothing is skipped */
async function conformance(yaml: string, version: string): Promise<string> {
  const schemas = `${await kubernetesSchemas()}/${LOCATION}`
  const args = ['-schema-location', schemas, '-kubernetes-version', version.slice(1), '-summary', '-']
  const child = spawn(await goTool('kubeconform'), args, { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(yaml)
  const [said] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return /Invalid: 0, Errors: 0, Skipped: 0/.test(said) ? '' : said
}

describe('every pod of the chart', function () {
  this.timeout(60_000)
  it('keeps to the Pod Security Standard "restricted", and asks nothing of Kubernetes', async () => {
    for (const [name, values] of all) {
      for (const [pod, spec] of podsOf(await render(values))) {
        const where = `${name}: ${pod}`
        expect(spec.securityContext, where).to.deep.include({
          runAsNonRoot: true,
          seccompProfile: { type: 'RuntimeDefault' },
        })
        expect(spec.automountServiceAccountToken, where).to.equal(false)
        for (const { hostPath } of spec.volumes) expect(hostPath, where).to.equal(undefined)
        for (const { name: container, securityContext } of [...spec.initContainers, ...spec.containers]) {
          // Of a sidecar the chart knows nothing.
          if (container === 'beside') continue
          expect(securityContext, `${where}: ${container}`).to.deep.equal({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          })
        }
      }
    }
  })
})

describe('the settings in the chart', function () {
  this.timeout(60_000)
  const names: ReadonlySet<string> = new Set(Object.values(SETTINGS).map(({ name }) => name))
  const settingOf = (variable: string): string => variable.replace(/_FILE$/, '')

  it('exist, and each one of a node can be set', async () => {
    const set = new Set<string>()
    for (const values of all.values())
      for (const variable of Object.keys(variables(await render(values)))) set.add(settingOf(variable))
    const ofOurs = [...set].filter((name) => name.startsWith('TIDEMARK_'))
    expect(ofOurs.filter((name) => !names.has(name))).to.deep.equal([])
    expect([...ofTheChart].filter((name) => !names.has(name))).to.deep.equal([])
    expect(
      [...ofTheChart].filter((name) => !set.has(name)),
      'said to be of the chart, and in no rendering',
    ).to.deep.equal([])
    // The others are set by name: the schema lists them (made from the same table).
    const other = [...names].find((name) => !ofTheChart.has(name)) ?? ''
    expect(variables(await render({ ...KAFKA, settings: { [other]: '7' } }))).to.include({ [other]: '7' })
  })

  it('give a secret by a file only', async () => {
    const secrets: readonly string[] = Object.values<{ name: string; secret?: true }>(SETTINGS)
      .filter(({ secret }) => secret === true)
      .map(({ name }) => name)
    expect(secrets).not.to.deep.equal([])
    for (const values of all.values()) {
      const given = Object.keys(variables(await render(values)))
      expect(given.filter((name) => secrets.includes(name))).to.deep.equal([])
    }
  })

  it('leave time to drain', async () => {
    const values = await readFile(join(CHART, 'templates', '_helpers.tpl'), 'utf8')
    const seconds = Number(/add \(int \.rollout\.preStopSeconds\) (\d+)/.exec(values)?.[1])
    expect(seconds).to.be.greaterThan((1.5 * DRAIN_MS) / 1000)
  })
})
