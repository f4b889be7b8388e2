/** Whether what clients saw can be true. One sentence for each thing that cannot. */
import { type CallEntry, type History, isWrite } from '../../streams/sim/history.ts'

export function faultsOf(history: History): string[] {
  return [...countsOnce(history), ...versionsRise(history)]
}

/** Sums of counters: what was acknowledged is there, and nothing counts that nobody asked for. */
function countsOnce({ entries }: History): string[] {
  const sums = new Map<string, { acknowledged: number; attempted: number; last: number }>()
  const calls = new Map<number, CallEntry>()
  for (const entry of entries) {
    if (entry.type === 'call') calls.set(entry.op, entry)
    if (entry.type !== 'return') continue
    const call = calls.get(entry.op)?.call
    const { result } = entry
    if (call?.kind === 'increment') {
      const sum = sums.get(call.key) ?? { acknowledged: 0, attempted: 0, last: 0 }
      sums.set(call.key, sum)
      if (result.status !== 'failed') sum.attempted += Number(call.delta)
      if (result.status === 'ok') sum.acknowledged += Number(call.delta)
    }
    if (call?.kind === 'get' && result.status === 'ok' && result.answer.kind === 'rows') {
      const sum = sums.get(call.key)
      if (sum !== undefined) sum.last = Number(result.answer.rows[0]?.value ?? '0')
    }
  }
  return [...sums].flatMap(([key, { acknowledged, attempted, last }]) =>
    last >= acknowledged && last <= attempted
      ? []
      : [`${key} is ${last} at the end, it must be ${acknowledged} to ${attempted}`],
  )
}

/** A linearizable read is not older than what anyone was told before it was asked, nor a session's than what it saw itself. */
function versionsRise({ entries }: History): string[] {
  const faults: string[] = []
  const told = new Map<string, number>()
  const floor = new Map<number, number>()
  const calls = new Map<number, CallEntry>()
  const tell = (name: string, version: number): void => {
    told.set(name, Math.max(told.get(name) ?? 0, version))
  }
  for (const entry of entries) {
    if (entry.type === 'call') {
      calls.set(entry.op, entry)
      const { call, client } = entry
      if (call.kind === 'get')
        floor.set(
          entry.op,
          told.get(call.consistency === 'linearizable' ? call.key : `${client} ${call.key}`) ?? 0,
        )
    }
    if (entry.type !== 'return' || entry.result.status !== 'ok') continue
    const made = calls.get(entry.op)
    const { answer } = entry.result
    if (made === undefined) continue
    const { call, client } = made
    if (isWrite(call) && call.kind !== 'txn' && answer.kind === 'written') {
      const version = answer.outcome?.version
      if (version === undefined) continue
      tell(call.key, version)
      tell(`${client} ${call.key}`, version)
    }
    if (call.kind === 'get' && answer.kind === 'rows') {
      const row = answer.rows[0]
      const least = floor.get(entry.op) ?? 0
      if (row === null || row === undefined) continue
      if (row.version < least)
        faults.push(
          `${client} read ${call.key} (${call.consistency}) at version ${row.version} after ${least}`,
        )
      tell(`${client} ${call.key}`, row.version)
      if (call.consistency === 'linearizable') tell(call.key, row.version)
    }
  }
  return faults
}
