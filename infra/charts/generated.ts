/**
 * What the chart holds that is made from elsewhere: alert rules and dashboards (Helm reads only files below the chart), the names of settings in
 * the schema of its values, and its README. `npm run write:charts` writes them, `npm run check:charts` holds them against their sources.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { format } from 'prettier'
import { z } from 'zod'
import { SETTINGS } from '../../services/node/settings.ts'
import { PROJECT_ROOT } from '../project-root.ts'
import { goTool } from '../tools/go-tools.ts'
import { ofTheChart } from './settings.ts'

const run = promisify(execFile)

export const CHART = join(PROJECT_ROOT, 'charts', 'tidemark')

/** Folders in the chart, and where their files come from. */
const COPIES = {
  'files/rules': { from: 'infra/prometheus/rules', ending: '.yaml' },
  'files/dashboards': { from: 'infra/grafana', ending: '.json' },
} as const

/** Paths below the chart, and what must stand there. */
export async function generated(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>()
  for (const [folder, { from, ending }] of Object.entries(COPIES)) {
    for (const name of await namesIn(join(PROJECT_ROOT, from))) {
      if (!name.endsWith(ending)) continue
      files.set(join(folder, name), await readFile(join(PROJECT_ROOT, from, name), 'utf8'))
    }
  }
  files.set(
    'values.schema.json',
    await withSettings(await readFile(join(CHART, 'values.schema.json'), 'utf8')),
  )
  const args = ['--dry-run', '--chart-search-root', CHART, '--log-level', 'warning']
  const readme = await run(await goTool('helm-docs'), args)
  files.set('README.md', await format(readme.stdout, { parser: 'markdown', printWidth: 110 }))
  return files
}

/** Those that are in the chart now, in folders that are made as a whole. */
export async function standing(): Promise<readonly string[]> {
  const folders = Object.keys(COPIES)
  const names = await Promise.all(folders.map((folder) => namesIn(join(CHART, folder))))
  return folders.flatMap((folder, index) => (names[index] ?? []).map((name) => join(folder, name)))
}

const namesIn = async (folder: string): Promise<readonly string[]> =>
  existsSync(folder) ? (await readdir(folder)).sort() : []

const schema = z.looseObject({
  properties: z.looseObject({ settings: z.looseObject({ properties: z.unknown() }) }),
})

/** The schema with what may stand in `settings`: all settings of a node that no other value of the chart sets. */
async function withSettings(text: string): Promise<string> {
  const whole = schema.parse(JSON.parse(text))
  whole.properties.settings.properties = Object.fromEntries(
    Object.values(SETTINGS)
      .filter(({ name }) => !ofTheChart.has(name))
      .map(({ name, meaning }) => [name, { type: ['string', 'integer'], description: meaning }]),
  )
  return format(JSON.stringify(whole), { parser: 'json', printWidth: 110 })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = await generated()
  for (const path of await standing()) if (!files.has(path)) await rm(join(CHART, path))
  for (const [path, text] of files) {
    await mkdir(dirname(join(CHART, path)), { recursive: true })
    await writeFile(join(CHART, path), text)
  }
}
