/** The process: its one thread, its memory, its files. */
import { type Board, lines, number, of } from './board.ts'

const NODE = { by: 'node' }

export const RUNTIME: Board = {
  name: 'tidemark-runtime',
  title: 'Tidemark: Node.js',
  description: 'Is the one thread free, and does the memory stay flat.',
  groups: [
    {
      title: 'The event loop',
      panels: [
        number('Busiest loop', 'ratio', 'Share of a core.', [of('rate', 'runtime.event_loop.busy', NODE)], {
          limits: { warn: 0.8, bad: 0.9 },
        }),
        number(
          'Longest stall',
          'seconds',
          'In the last ten seconds.',
          [of('max', 'runtime.event_loop.lag', { where: { quantile: ['1'] } })],
          { limits: { warn: 0.2, bad: 1 } },
        ),
        number(
          'Fullest heap',
          'ratio',
          'Of its limit.',
          [of('max', 'runtime.heap.used.bytes'), of('max', 'runtime.heap.limit.bytes')],
          { formula: 'a / b', limits: { warn: 0.8, bad: 0.9 } },
        ),
        number(
          'Failed sends to the agent',
          'none',
          'Metrics that were lost.',
          [of('increase', 'telemetry.errors')],
          { limits: { warn: 1, bad: 100 } },
        ),
        number(
          'Lost spans',
          'none',
          'Of traces: the receiver did not take them.',
          [of('increase', 'traces.spans', { where: { result: ['failed', 'dropped'] } })],
          { limits: { warn: 1, bad: 1000 } },
        ),
        lines('Busy', 'ratio', 'Utilization of the loop.', [of('rate', 'runtime.event_loop.busy', NODE)]),
        lines('Lateness of timers, p99', 'seconds', 'Over ten seconds.', [
          of('max', 'runtime.event_loop.lag', { by: 'node', where: { quantile: ['0.99'] } }),
        ]),
        lines('Lateness of timers, most', 'seconds', 'Something held the thread that long.', [
          of('max', 'runtime.event_loop.lag', { by: 'node', where: { quantile: ['1'] } }),
        ]),
        lines('Processor', 'none', 'Cores in use, all threads: RocksDB has some of its own.', [
          of('rate', 'process.cpu', NODE),
        ]),
      ],
    },
    {
      title: 'Memory',
      panels: [
        lines('Resident', 'bytes', 'What the kernel counts.', [
          of('max', 'process.memory.resident.bytes', NODE),
        ]),
        lines('Heap in use', 'bytes', 'Of V8.', [of('max', 'runtime.heap.used.bytes', NODE)]),
        lines('Heap taken', 'bytes', 'Of V8.', [of('max', 'runtime.heap.total.bytes', NODE)]),
        lines('Outside the heap', 'bytes', 'Buffers.', [of('max', 'runtime.external.bytes', NODE)]),
        lines('Pauses of the collector, p99', 'seconds', 'By kind.', [
          of('p99', 'runtime.gc.duration', { by: 'kind' }),
        ]),
        lines('Limit of the heap', 'bytes', 'Reaching it ends the process.', [
          of('min', 'runtime.heap.limit.bytes', NODE),
        ]),
      ],
    },
    {
      title: 'Process',
      panels: [
        lines('Open files', 'none', 'Sockets are files.', [of('max', 'process.files.open', NODE)]),
        lines('Files at most', 'none', 'The limit of the process.', [of('min', 'process.files.max', NODE)]),
        lines('Start', 'none', 'Moment of the start, seconds since 1970: each step is a restart.', [
          of('max', 'process.start_time', NODE),
        ]),
      ],
    },
  ],
}
