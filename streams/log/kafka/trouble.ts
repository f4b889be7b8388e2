/**
 * Faults that are retried for ever are told once when they begin and once when they end, never for each attempt. A key
 * names what is in trouble: a broker, a topic, a partition, the appends. While no broker answers at all, that is all there is to say.
 */
import type { Telemetry } from '../../ports.ts'

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
