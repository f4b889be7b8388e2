/** What apply will read while it works on some commands, so that the shell can load it in one go beforehand. */
import { bytesToText } from './bytes.ts'
import type { Command, Step } from './command.ts'
import { splitRequestId } from './text.ts'
import { newSlot, type RowSlot } from './working-set.ts'

export interface Needs {
  /** By the text of their key. */
  readonly rows: Map<string, RowSlot>
  /** Sessions whose request ids occur. */
  readonly sessions: Set<string>
  /** How many request ids occur, at most that many sessions are forgotten. */
  requestIds: number
}

export function collectNeeds(commands: readonly Command[]): Needs {
  const needs: Needs = { rows: new Map(), sessions: new Set(), requestIds: 0 }
  for (const command of commands) {
    switch (command.kind) {
      case 'row':
        needStep(needs, command.step)
        break
      case 'pack':
        needId(needs, command.requestId)
        for (const step of command.steps) needStep(needs, step)
        break
      case 'txn': {
        const { mutation } = command
        needId(needs, mutation.requestId)
        for (const list of [mutation.compares, mutation.thenChanges, mutation.elseChanges])
          for (const { key } of list) needRow(needs, key)
        break
      }
      default:
        break
    }
  }
  return needs
}

function needStep(needs: Needs, step: Step): void {
  if (step.kind === 'rejected') return
  needRow(needs, step.key)
  needId(needs, step.requestId)
}

export function needRow({ rows }: Pick<Needs, 'rows'>, key: Uint8Array): void {
  const text = bytesToText(key)
  if (!rows.has(text)) rows.set(text, newSlot(key))
}

function needId(needs: Needs, requestId: string | undefined): void {
  if (requestId === undefined) return
  needs.sessions.add(splitRequestId(requestId).session)
  needs.requestIds += 1
}
