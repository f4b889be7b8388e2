/** What came of all damages, by kind of file and kind of damage. */
import { kindOf } from './cases.ts'
import type { Done } from './run.ts'

const COLUMNS = ['refused', 'told', 'harmless', 'WRONG'] as const

export function corruptionTable(done: readonly Done[]): string {
  const rows = new Map<string, Record<(typeof COLUMNS)[number], number>>()
  for (const { asked, result } of done) {
    const name = `${kindOf(asked.file)} | ${asked.damage}`
    const row = rows.get(name) ?? { refused: 0, told: 0, harmless: 0, WRONG: 0 }
    row[result.kind] += 1
    rows.set(name, row)
  }
  const lines = [...rows]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, row]) => `| ${name} | ${COLUMNS.map((column) => row[column] || '').join(' | ')} |`)
  const faults = done.flatMap(({ asked, result }) =>
    result.kind === 'WRONG' ? [`WRONG: ${asked.file}, ${asked.damage} at ${asked.at}: ${result.why}`] : [],
  )
  const crashes = done.filter(({ crashed }) => crashed)
  return [
    '| file | damage | refused at start | told at read | harmless | WRONG |',
    '| --- | --- | --- | --- | --- | --- |',
    ...lines,
    '',
    `${done.length} damages, ${faults.length} wrong, ${crashes.length} times the process died of one (asked again in a fresh one)`,
    ...crashes.map(({ asked }) => `died of ${asked.file}, ${asked.damage} at ${asked.at}`),
    ...faults,
    '',
  ].join('\n')
}
