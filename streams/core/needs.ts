/** What apply will read while it works on some commands, so that the shell can load it in one go beforehand. */
import { bytesToText } from './bytes.ts'
import type { Command, Step } from './command.ts'
import { splitRequestId } from './text.ts'

export interface Needs {
  /** Keys of rows, by their text. */
  readonly rows: Map<string, Uint8Array>
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
          for (const { key } of list) needs.rows.set(bytesToText(key), key)
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
  needs.rows.set(bytesToText(step.key), step.key)
  needId(needs, step.requestId)
}

function needId(needs: Needs, requestId: string | undefined): void {
  if (requestId === undefined) return
  needs.sessions.add(splitRequestId(requestId).session)
  needs.requestIds += 1
}
