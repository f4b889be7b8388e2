/** The process in which damaged directories are opened: RocksDB is native code, and damage may end it. Cases come and results go as messages. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { inflict, type Case } from './cases.ts'
import { evaluate, type Result } from './evaluate.ts'
import type { Truth } from './subject.ts'

export interface Question {
  readonly folder: string
  readonly truth: Truth
  readonly asked: Case
}

const turns = { count: 0 }

async function answer({ folder, truth, asked }: Question): Promise<Result> {
  const copy = join(folder, `case-${process.pid}-${(turns.count += 1)}`)
  await cp(join(folder, 'intact'), copy, { recursive: true })
  try {
    if (!(await inflict(copy, asked))) return { kind: 'harmless' }
    return await evaluate(copy, asked.file, truth)
  } catch (caught) {
    return { kind: 'WRONG', why: caught instanceof Error ? (caught.stack ?? caught.message) : String(caught) }
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

process.on('message', (question: Question) => {
  void answer(question).then((result) => process.send?.(result))
})
process.on('disconnect', () => process.exit())
