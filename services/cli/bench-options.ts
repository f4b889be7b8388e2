/** What `tidemark bench` is told; apart from what does it, so that `--help` loads no client. */

export const WORKLOAD_NAMES = ['load', 'put', 'get', 'mix', 'many', 'put-one', 'get-one'] as const
export type WorkloadName = (typeof WORKLOAD_NAMES)[number]

export interface BenchOptions {
  /** Milliseconds that each workload runs. */
  readonly duration: number
  readonly keys: number
  readonly valueBytes: number
  readonly clients: number
  readonly connections: number
  readonly rate?: number
  readonly reads: number
  readonly zipf?: number
}
