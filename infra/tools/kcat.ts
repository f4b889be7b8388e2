/** kcat, the stranger that operators use: found, or installed where that is allowed (CI), else reported missing. */
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { PROJECT_ROOT } from '../project-root.ts'

const run = promisify(execFile)

/** @returns the command to run, or undefined where there is none. Debian's older name is kafkacat. */
export async function findKcat(): Promise<string | undefined> {
  const there = (await onPath('kcat')) ?? (await onPath('kafkacat'))
  if (there !== undefined || (process.env['CI'] ?? '') === '') return there
  await run(join(PROJECT_ROOT, 'infra', 'tools', 'install.sh'))
  return onPath('kcat')
}

async function onPath(command: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, command)
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}
