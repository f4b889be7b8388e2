/**
 * The tables of services/README.md, made from the code: the error catalogue and the settings. A test holds the file against
 * them. `node dist/services/node/docs.js` writes them into the file.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CATALOGUE } from '../../streams/core/errors.ts'
import { PACKAGE_ROOT } from './package-root.ts'
import type { Setting } from './setting.ts'
import { SETTINGS } from './settings.ts'

export const README = join(PACKAGE_ROOT, 'services', 'README.md')

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '\\<')
const line = (...cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`

const quoted = (text: string): string => (text === '' ? '' : `\`${text}\``)

export const errorTable = (): string =>
  [
    '| reason | gRPC | HTTP | again? | meaning | what to do |',
    '| --- | --- | --- | --- | --- | --- |',
    ...Object.entries(CATALOGUE).map(([reason, { grpc, http, retriable, meaning, action }]) =>
      line(`\`${reason}\``, `\`${grpc}\``, String(http), retriable ? 'yes' : 'no', meaning, action),
    ),
  ].join('\n')

export const settingsTable = (): string =>
  [
    '| name | values | default | meaning | secret | example | since |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...Object.values<Setting<unknown>>(SETTINGS).map(
      ({ name, type, standard = '', meaning, secret, example = '', since }) =>
        line(
          `\`${name}\``,
          type,
          quoted(standard),
          meaning,
          secret === true ? 'yes' : '',
          quoted(example),
          since,
        ),
    ),
  ].join('\n')

const TABLES = { errors: errorTable, settings: settingsTable } as const

/** The text with each table between its marks, `<!-- name -->` and `<!-- end name -->`, as the code has it. */
export function withTables(text: string): string {
  let result = text
  for (const [name, table] of Object.entries(TABLES)) {
    const begin = `<!-- ${name} -->`
    const end = `<!-- end ${name} -->`
    const from = result.indexOf(begin)
    const to = result.indexOf(end)
    if (from < 0 || to < from) throw new Error(`services/README.md has no marks ${begin} and ${end}`)
    result = `${result.slice(0, from + begin.length)}\n\n${table()}\n\n${result.slice(to)}`
  }
  return result
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(README, withTables(readFileSync(README, 'utf8')))
