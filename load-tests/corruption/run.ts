/** Asks for all cases in a few processes; one that dies of a case is started anew, and the case asked once more in a fresh one. */
import { fork, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Prng } from '../../streams/core/testing/prng.ts'
import { allCases, type Case } from './cases.ts'
import type { Result } from './evaluate.ts'
import { makeSubject, type Truth } from './subject.ts'
import type { Question } from './worker.child.ts'

export interface Done {
  readonly asked: Case
  readonly result: Result
  /** The process died the first time. */
  readonly crashed: boolean
}

export interface RunOptions {
  readonly seed: number
  /** At most so many, spread evenly over all; undefined = all. */
  readonly cases?: number
  readonly jobs: number
  readonly onDone?: (done: number, all: number) => void
}

const WORKER = join(import.meta.dirname, 'worker.child.js')
/** Milliseconds for one case. */
const CASE_MS_MAX = 60_000

export async function damageAll({ seed, cases, jobs, onDone }: RunOptions): Promise<readonly Done[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-corruption-'))
  try {
    const truth = await makeSubject(folder, seed)
    const all = await allCases(join(folder, 'intact'), new Prng(seed))
    const queue = cases === undefined ? all : spread(all, cases)
    const done: Done[] = []
    let next = 0
    const work = async (): Promise<void> => {
      const worker = new Worker(folder, truth)
      for (let asked = queue[next++]; asked !== undefined; asked = queue[next++]) {
        const first = await worker.ask(asked)
        const result = first ?? (await worker.ask(asked))
        done.push({ asked, crashed: first === undefined, result: result ?? CRASHES })
        onDone?.(done.length, queue.length)
      }
      worker.end()
    }
    await Promise.all(Array.from({ length: jobs }, work))
    return done
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const CRASHES: Result = { kind: 'WRONG', why: 'the process crashes each time' }

const spread = (all: readonly Case[], many: number): readonly Case[] =>
  all.filter((_, at) => Math.floor((at * many) / all.length) !== Math.floor(((at - 1) * many) / all.length))

class Worker {
  readonly #folder: string
  readonly #truth: Truth
  #child: ChildProcess | undefined

  constructor(folder: string, truth: Truth) {
    this.#folder = folder
    this.#truth = truth
  }

  /** @returns undefined where the process died, or stood still */
  async ask(asked: Case): Promise<Result | undefined> {
    const child = (this.#child ??= fork(WORKER, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }))
    const question: Question = { folder: this.#folder, truth: this.#truth, asked }
    const late = setTimeout(() => child.kill('SIGKILL'), CASE_MS_MAX)
    const result = await new Promise<Result | undefined>((resolve) => {
      const ended = (): void => {
        resolve(undefined)
      }
      child.once('exit', ended)
      child.once('message', (message: Result) => {
        child.off('exit', ended)
        resolve(message)
      })
      child.send(question)
    })
    clearTimeout(late)
    if (result === undefined) this.#child = undefined
    return result
  }

  end(): void {
    this.#child?.disconnect()
  }
}
