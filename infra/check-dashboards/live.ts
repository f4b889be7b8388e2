/**
 * A real node, a real Prometheus that scrapes it with our rules, and a real statsd_exporter that it sends to: every metric arrives, every
 * query of a board and every rule is one that Prometheus answers.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  METRIC_NAMES,
  type MetricName,
  datadogName,
  prometheusName,
} from '../../services/node/metrics/catalogue.ts'
import { connect } from '../../services/client/connect.ts'
import { createSnapshot } from '../../services/cli/snapshot-create.ts'
import { startNode } from '../../services/node/process.fixture.ts'
import { BOARDS } from '../boards/boards.ts'
import { queriesOf } from '../boards/grafana.ts'
import { freePorts } from '../kafka/ports.ts'
import { guard, guarded, unguard } from '../kafka/watchdog.ts'
import { PROJECT_ROOT } from '../project-root.ts'

const WAIT_MS_MAX = 60_000
const POLL_MS = 200

/** What a node on the embedded log has not, and what only one that lags has. */
const PUTS_SEEN = 'tidemark_grpc_request_duration_seconds_count{method="Pipeline/Put"}'

const isAbsent = (name: MetricName): boolean =>
  name.startsWith('kafka.request.') || name === 'lag.worst.records'

export interface Programs {
  readonly prometheus: string
  readonly exporter: string
}

/** @returns one sentence for each fault */
export async function liveFaults(programs: Programs): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-boards-'))
  guard('dir', folder)
  const [prometheusPort = 0, exporterPort = 0, statsdPort = 0, httpPort = 0] = await freePorts(4)
  const children: ChildProcess[] = []
  try {
    children.push(
      start(programs.exporter, [
        `--statsd.listen-udp=127.0.0.1:${statsdPort}`,
        '--statsd.listen-tcp=',
        `--web.listen-address=127.0.0.1:${exporterPort}`,
      ]),
    )
    await answering(`http://127.0.0.1:${exporterPort}/metrics`)
    const settings = {
      TIDEMARK_DATA_DIR: join(folder, 'data'),
      TIDEMARK_SNAPSHOT_URL: `file://${join(folder, 'snapshots')}`,
      TIDEMARK_PARTITIONS: '2',
      TIDEMARK_HTTP_LISTEN: `127.0.0.1:${httpPort}`,
      DD_DOGSTATSD_URL: `udp://127.0.0.1:${statsdPort}`,
    }
    // The second one finds the snapshot of the first.
    const before = await startNode(settings)
    await use(before.address)
    await before.end('SIGTERM')
    const config = join(folder, 'prometheus.yaml')
    await writeFile(config, configuration(httpPort))
    const node = await startNode(settings)
    children.push(node.process)
    children.push(
      start(programs.prometheus, [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(folder, 'tsdb')}`,
        `--web.listen-address=127.0.0.1:${prometheusPort}`,
        '--log.level=warn',
      ]),
    )
    const api = `http://127.0.0.1:${prometheusPort}/api/v1`
    await until(async () => (await count(api, 'tidemark_ready')) === 1)
    await use(node.address)
    // A series has a rate from its second sample on.
    await until(async () => (await count(api, PUTS_SEEN)) > 0)
    await use(node.address)
    await until(async () => (await count(api, `rate(${PUTS_SEEN}[1m]) > 0`)) > 0)
    await until(async () => (await count(api, 'tidemark_snapshot_last_age_seconds')) === 1)
    const faults = [...(await ruleFaults(api)), ...(await queryFaults(api)), ...(await seriesFaults(api))]
    await node.end('SIGTERM')
    return [...faults, ...(await sentFaults(`http://127.0.0.1:${exporterPort}/metrics`))]
  } finally {
    for (const child of children) await end(child)
    await rm(folder, { recursive: true, force: true })
    unguard('dir', folder)
  }
}

const configuration = (port: number): string => `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${JSON.stringify(join(PROJECT_ROOT, 'infra/prometheus/rules/*.yaml'))}]
scrape_configs:
  - job_name: tidemark
    static_configs: [{ targets: ['127.0.0.1:${port}'] }]
`

async function use(address: string): Promise<void> {
  const client = connect({ server: address })
  for (let at = 0; at < 20; at++) {
    await client.put(`key-${at}`, 'value')
    await client.get(`key-${at}`)
  }
  await client.close()
  await createSnapshot(address, 0, { onProgress: () => undefined, onTrouble: () => undefined })
}

// ---- what Prometheus says ----

interface Answer {
  readonly status: string
  readonly error?: string
  readonly data: {
    readonly result: readonly unknown[]
    readonly groups: readonly {
      readonly rules: readonly {
        readonly name: string
        readonly health: string
        readonly lastError?: string
      }[]
    }[]
  }
}

async function ask(url: string): Promise<Answer> {
  return (await (await fetch(url)).json()) as Answer
}

const query = (api: string, expr: string): Promise<Answer> =>
  ask(`${api}/query?query=${encodeURIComponent(expr)}`)

const count = async (api: string, expr: string): Promise<number> =>
  query(api, expr).then(
    ({ status, data }) => (status === 'success' ? data.result.length : 0),
    () => 0,
  )

async function ruleFaults(api: string): Promise<readonly string[]> {
  const rules = async (): Promise<Answer['data']['groups'][number]['rules']> =>
    (await ask(`${api}/rules`)).data.groups.flatMap((group) => group.rules)
  await until(async () => (await rules()).every(({ health }) => health !== 'unknown'))
  const all = await rules()
  if (all.length === 0) return ['Prometheus has no rules']
  return all
    .filter(({ health }) => health !== 'ok')
    .map(({ name, lastError }) => `the rule ${name}: ${lastError ?? ''}`)
}

async function queryFaults(api: string): Promise<readonly string[]> {
  const faults: string[] = []
  for (const { title: board, groups } of BOARDS)
    for (const panel of groups.flatMap(({ panels }) => panels))
      for (const { expr } of queriesOf(panel)) {
        const asked = expr
          .replaceAll('$__rate_interval', '1m')
          .replaceAll(/\$(namespace|cluster|node|keyspace)\b/g, '.*')
        const { status, error, data } = await query(api, asked)
        // Where only some values of a tag are asked for, there may be none of them: no fault has happened.
        const expected = !panel.series.some(({ metric, where }) => isAbsent(metric) || 'code' in where)
        if (status !== 'success') faults.push(`${board}, ${panel.title}: ${error ?? ''}: ${expr}`)
        else if (expected && data.result.length === 0)
          faults.push(`${board}, ${panel.title}: shows nothing: ${expr}`)
      }
  return faults
}

async function seriesFaults(api: string): Promise<readonly string[]> {
  const { data } = (await (await fetch(`${api}/label/__name__/values`)).json()) as { data: readonly string[] }
  return METRIC_NAMES.filter((name) => {
    const shown = prometheusName(name)
    return !isAbsent(name) && !data.includes(shown) && !data.includes(`${shown}_bucket`)
  }).map((name) => `Prometheus has no series of ${name}`)
}

// ---- what statsd_exporter heard ----

async function sentFaults(url: string): Promise<readonly string[]> {
  const text = await (await fetch(url)).text()
  const heard = new Set(text.match(/^[a-z_0-9]+/gm))
  // The other reasons are service checks, which only Datadog knows.
  const wrong =
    /^statsd_exporter_(?:events_error_total|sample_errors_total)\{reason="(?!invalid_extended)\w+"\} [1-9]\d*$/gm
  const total = (series: string): number =>
    [...text.matchAll(new RegExp(`^${series}\\{.*method="Pipeline/Put".*\\} (\\S+)$`, 'gm'))].reduce(
      (sum, [, value]) => sum + Number(value),
      0,
    )
  const [calls, durations] = [total('tidemark_grpc_requests'), total('tidemark_grpc_request_duration_count')]
  return [
    ...METRIC_NAMES.filter((name) => {
      const name_ = datadogName(name).replaceAll('.', '_')
      return !isAbsent(name) && !heard.has(name_) && !heard.has(`${name_}_count`)
    }).map((name) => `statsd_exporter has heard nothing of ${datadogName(name)}`),
    ...(calls > 0 && calls === durations
      ? []
      : [`${calls} calls have ${durations} durations: the weights are wrong`]),
    ...[...text.matchAll(wrong)].map(([line]) => `statsd_exporter: ${line}`),
  ]
}

// ---- processes ----

function start(program: string, args: readonly string[]): ChildProcess {
  return guarded(spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] }))
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS_MAX
  while (!(await isSo())) {
    if (performance.now() > deadline)
      throw new Error(`it did not come within ${WAIT_MS_MAX / 1000} s: ${String(isSo)}`)
    await sleep(POLL_MS)
  }
}

const answering = (url: string): Promise<void> =>
  until(() =>
    fetch(url).then(
      ({ ok }) => ok,
      () => false,
    ),
  )
