/** The Dockerfile of the image, read: its stages and their steps, and what of the project its builder is sent. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { DockerfileParser } from 'dockerfile-ast'
import { PROJECT_ROOT } from '../project-root.ts'

const run = promisify(execFile)

export const DOCKERFILE = join(PROJECT_ROOT, 'infra', 'docker', 'Dockerfile')

export type Step =
  | { readonly does: 'run'; readonly command: string }
  | {
      readonly does: 'copy'
      readonly from: string | undefined
      readonly paths: readonly string[]
      readonly to: string
    }
  | { readonly does: 'workdir'; readonly path: string }

export interface Stage {
  readonly base: string
  readonly name: string
  readonly steps: readonly Step[]
  readonly env: Readonly<Record<string, string>>
  readonly user: string
  readonly labels: readonly string[]
  readonly start: readonly string[]
}

export async function stages(): Promise<readonly Stage[]> {
  const file = DockerfileParser.parse(await readFile(DOCKERFILE, 'utf8'))
  const standard = new Map(
    file
      .getInitialARGs()
      .map((arg) => [arg.getProperty()?.getName() ?? '', arg.getProperty()?.getValue() ?? '']),
  )
  const found: (Omit<Stage, 'start'> & {
    steps: Step[]
    env: Record<string, string>
    labels: string[]
    entry: string[]
    args: string[]
  })[] = []
  const copies = file.getCOPYs()
  for (const instruction of file.getInstructions()) {
    const { line } = instruction.getRange().start
    const stage = found.at(-1)
    const text = instruction.getArgumentsContent() ?? ''
    const words = instruction.getArguments().map((argument) => argument.getValue())
    const keyword = instruction.getKeyword()
    if (keyword === 'FROM') {
      const base = (words[0] ?? '').replace(/\$\{(\w+)\}/, (_, name: string) => standard.get(name) ?? '')
      const name = words[2] ?? String(found.length)
      found.push({ base, name, steps: [], env: {}, user: 'root', labels: [], entry: [], args: [] })
    } else if (stage !== undefined) {
      switch (keyword) {
        case 'RUN':
          stage.steps.push({ does: 'run', command: text.replace(/^(--\S+\s+)+/, '') })
          break
        case 'COPY': {
          const from =
            copies
              .find((copy) => copy.getRange().start.line === line)
              ?.getFromFlag()
              ?.getValue() ?? undefined
          stage.steps.push({ does: 'copy', from, paths: words.slice(0, -1), to: words.at(-1) ?? '' })
          break
        }
        case 'WORKDIR':
          stage.steps.push({ does: 'workdir', path: text })
          break
        case 'ENV':
          for (const word of words) stage.env[word.replace(/=.*/s, '')] = word.replace(/^[^=]*=/s, '')
          break
        case 'LABEL':
          stage.labels.push(...words.map((word) => word.replace(/=.*/s, '')))
          break
        case 'USER':
          found[found.length - 1] = { ...stage, user: text }
          break
        case 'ENTRYPOINT':
          stage.entry.push(...jsonWords(text))
          break
        case 'CMD':
          stage.args.push(...jsonWords(text))
          break
        default:
      }
    }
  }
  return found.map(({ entry, args, ...stage }) => ({ ...stage, start: [...entry, ...args] }))
}

const jsonWords = (text: string): readonly string[] => JSON.parse(text) as readonly string[]

/** The files of the project that `.dockerignore` lets through, as they are now. */
export async function contextFiles(): Promise<readonly string[]> {
  const rules = (await readFile(`${DOCKERFILE}.dockerignore`, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
  const { stdout } = await run('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: PROJECT_ROOT,
    maxBuffer: 2 ** 26,
  })
  return stdout.split('\0').filter((path) => path !== '' && isSent(path, rules))
}

/** The last rule that matches decides; a folder means all in it. */
export function isSent(path: string, rules: readonly string[]): boolean {
  let sent = true
  for (const rule of rules) {
    const pattern = rule.replace(/^!/, '')
    const matches = pattern.startsWith('**/')
      ? path.split('/').includes(pattern.slice(3))
      : pattern === '*' || path === pattern || path.startsWith(`${pattern}/`)
    if (matches) sent = rule.startsWith('!')
  }
  return sent
}
