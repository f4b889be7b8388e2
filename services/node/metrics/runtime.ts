/** What Node.js tells of itself: measured in the background, read when somebody looks. */
import { readdirSync, readFileSync } from 'node:fs'
import { PerformanceObserver, constants, monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import { EVENT_LOOP_WINDOW_MS } from '../../../streams/core/limits.ts'
import { Distributions, record } from '../../../streams/meters.ts'

export interface Runtime {
  /** Pauses by kind. */
  readonly gc: Distributions
  /** Seconds that the event loop was busy since the start. */
  busy(): number
  /** Seconds that timers were late in the last whole window, by quantile. */
  lag(): Readonly<Record<string, number>>
  files(): { readonly open: number; readonly max: number } | undefined
  heap(): { readonly used: number; readonly total: number; readonly limit: number; readonly external: number }
  stop(): void
}

const GC_KINDS = new Map<number, string>([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weakcb'],
])

/** Milliseconds between two looks of Node.js at its own lateness. */
const RESOLUTION_MS = 20

export function watchRuntime(): Runtime {
  const gc = new Distributions()
  for (const kind of GC_KINDS.values()) gc.of(kind)
  const observer = new PerformanceObserver((list) => {
    for (const { duration, detail } of list.getEntries() as readonly GcEntry[])
      record(gc.of(GC_KINDS.get(detail?.kind ?? 0) ?? 'other'), duration / 1000)
  })
  observer.observe({ entryTypes: ['gc'] })

  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  let lag: Readonly<Record<string, number>> = { '0.5': 0, '0.99': 0, '1': 0 }
  const window = setInterval(() => {
    // It measures the time between two of its timers: what is over their distance is lateness.
    const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000)
    lag = { '0.5': late(delay.percentile(50)), '0.99': late(delay.percentile(99)), '1': late(delay.max) }
    delay.reset()
  }, EVENT_LOOP_WINDOW_MS)
  window.unref()

  return {
    gc,
    busy: () => performance.eventLoopUtilization().active / 1000,
    lag: () => lag,
    files: openFiles,
    heap() {
      const { used_heap_size, total_heap_size, heap_size_limit, external_memory } = getHeapStatistics()
      return {
        used: used_heap_size,
        total: total_heap_size,
        limit: heap_size_limit,
        external: external_memory,
      }
    },
    stop() {
      observer.disconnect()
      delay.disable()
      clearInterval(window)
    },
  }
}

interface GcEntry {
  readonly duration: number
  readonly detail?: { readonly kind?: number }
}

const MAX_OPEN_FILES = /^Max open files\s+(\d+)/m

/** Linux only. */
function openFiles(): { open: number; max: number } | undefined {
  try {
    const open = readdirSync('/proc/self/fd').length
    const limits = MAX_OPEN_FILES.exec(readFileSync('/proc/self/limits', 'utf8'))
    return { open, max: Number(limits?.[1] ?? 0) }
  } catch {
    return undefined
  }
}
