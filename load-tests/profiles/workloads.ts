/** What is profiled, and what the process that makes the load says when it is done. */

/**
 * `put`, `get`: 1,024 in flight through the pipeline of the client; `get-many`: 256 keys a call; unary: 100 calls at once; `watch`: an
 * operation is a delivery, to one of 100 watchers of 1,000 puts a second. */
export const WORKLOADS = ['put', 'get', 'get-many', 'unary-put', 'unary-get', 'watch'] as const

export type Workload = (typeof WORKLOADS)[number]

export interface Done {
  readonly seconds: number
}
