/** The first board to open: the promise to users, then what breaks it. */
import { type Board, lines, list, number, of } from './board.ts'

/** Codes that are the fault of the service, not of the caller. */
export const FAULT_CODES = [
  'UNAVAILABLE',
  'INTERNAL',
  'DEADLINE_EXCEEDED',
  'RESOURCE_EXHAUSTED',
  'DATA_LOSS',
] as const

const FAULTS = { code: FAULT_CODES }
const METHOD = { by: 'method' }
const NODE = { by: 'node' }

export const OVERVIEW: Board = {
  name: 'tidemark-overview',
  title: 'Tidemark: overview',
  description: 'Is it up, is it slow, and where to look next.',
  groups: [
    {
      title: 'Is it up?',
      panels: [
        number('Nodes ready', 'none', 'Nodes whose replicas are all live and whose log answers.', [
          of('sum', 'ready'),
        ]),
        number('Nodes in the map', 'none', 'As the membership of the cluster has it.', [
          of('max', 'map.nodes'),
        ]),
        number(
          'Calls without a fault',
          'ratio',
          'Over the last minutes; the objective is 99.9 % over 30 days.',
          [of('rate', 'grpc.requests', { where: FAULTS }), of('rate', 'grpc.requests')],
          { formula: '1 - a / b', limits: { warn: 0.999, bad: 0.99, low: true } },
        ),
        number(
          'Partitions without a leader',
          'none',
          'For more than a moment: a leadership that cannot move.',
          [of('max', 'map.leaderless')],
          { limits: { warn: 1, bad: 1 } },
        ),
        number(
          'Replicas stopped',
          'none',
          'They refuse to serve; the log of the node and /readyz?verbose say why.',
          [of('sum', 'replicas', { where: { state: ['stopped'] } })],
          { limits: { warn: 1, bad: 1 } },
        ),
        number(
          'Largest lag',
          'seconds',
          'How old what the replica shows is that lags most.',
          [of('max', 'lag.seconds', { where: { quantile: ['1'] } })],
          { limits: { warn: 5, bad: 30 } },
        ),
        number('Log answers', 'none', 'Nodes whose log answers.', [of('sum', 'log.healthy')]),
        number(
          'Age of the newest snapshot',
          'seconds',
          'None: no place for snapshots is set.',
          [of('max', 'snapshot.last.age')],
          { limits: { warn: 93_600, bad: 172_800 } },
        ),
      ],
    },
    {
      title: 'How much, and how fast (calls and Pipeline operations)',
      panels: [
        lines(
          'Calls by method',
          'a second',
          'Operations of Pipeline streams count as Pipeline/Put and so on.',
          [of('rate', 'grpc.requests', METHOD)],
        ),
        lines('Faults by code', 'a second', 'Codes that are the fault of the service.', [
          of('rate', 'grpc.requests', { by: 'code', where: FAULTS }),
        ]),
        lines('Duration, p99 by method', 'seconds', 'Streams last as long as their clients want.', [
          of('p99', 'grpc.request.duration', METHOD),
        ]),
        lines('Duration, p50 by method', 'seconds', 'The ordinary call.', [
          of('p50', 'grpc.request.duration', METHOD),
        ]),
        list(
          'Errors by reason',
          'a second',
          'Reasons of the error catalogue; each has its place in infra/runbooks/reasons.md.',
          [of('rate', 'errors', { by: 'reason' })],
        ),
        lines('In flight by method', 'none', 'Calls that have not ended, streams included.', [
          of('sum', 'grpc.requests.in_flight', METHOD),
        ]),
      ],
    },
    {
      title: 'Why: the way of the data',
      panels: [
        lines(
          'Append to the log, p99',
          'seconds',
          'Until all in-sync replicas of Kafka have it: the floor of every write.',
          [of('p99', 'log.append.duration', NODE)],
        ),
        lines('Apply, p99', 'seconds', 'A run of records into the store.', [
          of('p99', 'apply.duration', NODE),
        ]),
        lines('Read index, p99', 'seconds', 'What linearizable reads wait for.', [
          of('p99', 'log.read_index.duration', NODE),
        ]),
        lines('Event loop busy', 'ratio', 'Share of a core; from 0.9 on everything waits.', [
          of('rate', 'runtime.event_loop.busy', NODE),
        ]),
        lines('Mutations in flight', 'none', 'That wait for the log or their answer.', [
          of('sum', 'write.in_flight', NODE),
        ]),
        lines('Their bytes', 'bytes', 'At the bound writes are refused with OVERLOADED.', [
          of('sum', 'write.in_flight.bytes', NODE),
        ]),
        lines('Reads that wait', 'none', 'For their replica to be fresh enough.', [
          of('sum', 'reads.waiting', NODE),
        ]),
        lines(
          'Sent on to other nodes',
          'a second',
          'Requests that came to a node without the partition, by how that ended.',
          [of('rate', 'router.forwards', { by: 'result' })],
        ),
        lines('Watchers', 'none', 'Open watches.', [of('sum', 'watchers', NODE)]),
        lines('Events to watchers', 'a second', 'And how often a watch waited for a slow peer.', [
          of('rate', 'watch.events', { label: 'events' }),
          of('rate', 'watch.waits', { label: 'waits' }),
        ]),
        lines('Sessions of writers', 'none', 'Kept in memory to find duplicates.', [
          of('sum', 'sessions', NODE),
        ]),
        lines('Faults outside', 'none', 'Troubles that began; the log has a line for each.', [
          of('increase', 'troubles', NODE),
        ]),
      ],
    },
  ],
}
