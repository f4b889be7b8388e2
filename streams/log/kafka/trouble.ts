/**
 * Faults that are retried for ever are told once when they begin and once when they end, never for each attempt. A key
 * names what is in trouble: a broker, a topic, a partition, the appends. While no broker answers at all, that is all there is to say.
 */
import { TidemarkError } from '../../core/errors.ts'
import type { Telemetry } from '../../ports.ts'
import type { Append, Appended } from '../log.ts'

export interface Trouble {
  begin(key: string, sentence: string): void
  end(key: string): void
}

/** The key for "no broker answers". */
export const KAFKA = 'Kafka'

export function createTrouble(telemetry: Pick<Telemetry, 'trouble' | 'recovered'>): Trouble {
  const open = new Map<string, number>()
  return {
    begin(key, sentence) {
      if (open.has(key) || open.has(KAFKA)) return
      open.set(key, performance.now())
      telemetry.trouble(sentence)
    },
    end(key) {
      const since = open.get(key)
      if (since === undefined) return
      open.delete(key)
      const seconds = ((performance.now() - since) / 1000).toFixed(1)
      telemetry.recovered(`The trouble with ${key} is over after ${seconds} s.`)
    },
  }
}

export interface AppendTrouble {
  /** What became of a part of an append. */
  note(part: Append, result: Appended | TidemarkError): void
}

/** One trouble for all partitions that cannot be appended to: it begins with the first and ends with the last of them. */
export function createAppendTrouble(trouble: Trouble): AppendTrouble {
  const failing = new Set<string>()
  return {
    note({ topic, partition }, result) {
      if (result instanceof TidemarkError) {
        if (result.reason !== 'LOG_UNAVAILABLE') return
        failing.add(`${topic}/${partition}`)
        trouble.begin('appends', result.message)
      } else if (failing.size > 0 && failing.delete(`${topic}/${partition}`) && failing.size === 0)
        trouble.end('appends')
    },
  }
}
