/**
 * `npm run check:dashboards`: the boards, rules and monitors against the programs that read them. What needs no program is in
 * `npm test` (infra/boards, infra/alerts). About a minute; the first time some minutes more, to get the programs.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PROJECT_ROOT } from '../project-root.ts'
import { liveFaults } from './live.ts'
import { datadogFaults } from './models.ts'
import { datadogModels, programOf, statsdExporter } from './programs.ts'

const run = promisify(execFile)
const PROMETHEUS = join(PROJECT_ROOT, 'infra', 'prometheus')

async function promtoolFaults(): Promise<readonly string[]> {
  const promtool = await programOf('promtool')
  const said = async (...args: readonly string[]): Promise<readonly string[]> =>
    run(promtool, args, { cwd: join(PROMETHEUS, 'tests') }).then(
      () => [],
      (caught: unknown) => {
        const { stdout = '', stderr = '' } = caught as { stdout?: string; stderr?: string }
        return [`promtool ${args.join(' ')}:\n${stdout}${stderr}`]
      },
    )
  return [
    ...(await said('check', 'rules', '../rules/recording.yaml', '../rules/alerts.yaml')),
    ...(await said('test', 'rules', 'alerts.yaml')),
  ]
}

const CHECKS: Readonly<Record<string, () => Promise<readonly string[]>>> = {
  'rules of Prometheus, and a firing and a quiet case of each alert': promtoolFaults,
  "boards, monitors and objectives in Datadog's own models": async () => datadogFaults(await datadogModels()),
  'a real node, scraped by a real Prometheus and heard by a real statsd_exporter': async () =>
    liveFaults({ prometheus: await programOf('prometheus'), exporter: await statsdExporter() }),
}

for (const [title, check] of Object.entries(CHECKS)) {
  const began = performance.now()
  const faults = await check().catch((caught: unknown) => [
    caught instanceof Error ? (caught.stack ?? caught.message) : String(caught),
  ])
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(`${faults.length === 0 ? 'good' : 'FAILED'}: ${title} (${seconds} s)`)
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) process.exitCode = 1
}
