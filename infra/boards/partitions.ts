/** Partitions, leaders, replicas: who has what, how fresh it is, and whether it is the same everywhere. */
import { type Board, lines, list, number, of } from './board.ts'

const NODE = { by: 'node' }
const KEYSPACE = { by: 'keyspace' }

export const PARTITIONS: Board = {
  name: 'tidemark-partitions',
  title: 'Tidemark: partitions and replication',
  description: 'Who has what, how fresh it is, and whether it is the same everywhere.',
  groups: [
    {
      title: 'The map of the cluster',
      panels: [
        number('Partitions', 'none', 'Of all keyspaces.', [of('max', 'map.partitions')]),
        number(
          'Without a leader',
          'none',
          'More than a moment: see the runbook.',
          [of('max', 'map.leaderless')],
          { limits: { warn: 1, bad: 1 } },
        ),
        number(
          'With too few replicas',
          'none',
          'Fewer than wanted and than there are nodes.',
          [of('max', 'map.underreplicated')],
          { limits: { warn: 1, bad: 1 } },
        ),
        number('Nodes connected', 'none', 'Nodes that the membership knows.', [of('sum', 'connected')]),
        lines('Partitions led', 'none', 'By node: it should be even.', [of('sum', 'leading', NODE)]),
        lines('Replicas by state', 'none', 'Restoring ones catch up; stopped ones refuse.', [
          of('sum', 'replicas', { by: 'state' }),
        ]),
        lines('Elections', 'none', 'Leaderships taken, and lost to others.', [
          of('increase', 'elections.won', { label: 'won' }),
          of('increase', 'elections.lost', { label: 'lost' }),
        ]),
        lines(
          'Generation of the map',
          'none',
          'Each step is a change of members, leaders or replicas: a staircase is a storm.',
          [of('max', 'map.generation', NODE)],
        ),
        lines('Partitions that stopped', 'none', 'By reason.', [
          of('increase', 'partitions.stopped', { by: 'reason' }),
        ]),
        lines('Versions', 'none', 'Nodes by version: more than one only while you upgrade.', [
          of('sum', 'build.info', { by: 'version' }),
        ]),
      ],
    },
    {
      title: 'Freshness',
      panels: [
        lines('Lag in time', 'seconds', 'The replica of each node that lags most.', [
          of('max', 'lag.seconds', { by: 'node', where: { quantile: ['1'] } }),
        ]),
        lines('Lag in records', 'none', 'Likewise, and p99.', [
          of('max', 'lag.records', { by: 'node', where: { quantile: ['1'] }, label: 'most' }),
          of('max', 'lag.records', { by: 'node', where: { quantile: ['0.99'] }, label: 'p99' }),
        ]),
        list('Partitions that lag most', 'none', 'Five of each node, in records.', [
          of('max', 'lag.worst.records', { by: 'keyspace partition node' }),
        ]),
        lines(
          'End of the log last seen',
          'seconds',
          'Over a second or two: the node hears nothing from the log.',
          [of('max', 'log_end.age', NODE)],
        ),
      ],
    },
    {
      title: 'Restore',
      panels: [
        lines('Records still to apply', 'none', 'By replicas that restore; it should fall.', [
          of('sum', 'restore.remaining.records', NODE),
        ]),
        lines('Copies', 'none', 'Fetched from peers and snapshots, by how that ended.', [
          of('increase', 'restore.copies', { by: 'result' }),
        ]),
        lines('Copies that run', 'none', 'At most four of a node.', [
          of('sum', 'restore.copies.running', NODE),
        ]),
        lines('Bytes of copies', 'bytes a second', 'Fetched.', [of('rate', 'restore.copy.bytes', NODE)]),
      ],
    },
    {
      title: 'Apply',
      panels: [
        lines('Records applied', 'a second', 'By keyspace, on all replicas.', [
          of('rate', 'apply.records', KEYSPACE),
        ]),
        lines('Mutations and records', 'a second', 'Their quotient is how well writes are packed.', [
          of('rate', 'apply.mutations', { label: 'mutations' }),
          of('rate', 'log.append.records', { label: 'records appended' }),
        ]),
        lines(
          'Rejections by reason',
          'a second',
          'VERSION_MISMATCH is the ordinary life of optimistic writers.',
          [of('rate', 'apply.rejections', { by: 'reason' })],
        ),
        lines(
          'Misplaced keys',
          'none',
          'A direct producer has the wrong partitioner: its rows are not there.',
          [of('increase', 'apply.misplaced_keys')],
        ),
        lines('Duplicates dropped', 'a second', 'Writes that came twice and counted once.', [
          of('rate', 'apply.duplicates'),
        ]),
        lines('Rows expired, and ticks', 'a second', 'Ticks of leaders expire rows of idle partitions.', [
          of('rate', 'apply.expiries', { label: 'expired' }),
          of('rate', 'apply.ticks', { label: 'ticks' }),
        ]),
        lines('Rows', 'none', 'Living rows by keyspace, each replica counted.', [
          of('sum', 'rows', KEYSPACE),
        ]),
        lines('State hash', 'none', 'Marks compared, and those that differed: none ever should.', [
          of('increase', 'apply.marks.compared', { label: 'compared' }),
          of('increase', 'apply.marks.diverged', { label: 'differed' }),
          of('sum', 'replicas.disputed', { label: 'disputed replicas' }),
        ]),
      ],
    },
    {
      title: 'Snapshots',
      panels: [
        lines('Age of the newest', 'seconds', 'Complete ones only.', [of('max', 'snapshot.last.age')]),
        lines('Size of the newest', 'bytes', 'All partitions.', [of('max', 'snapshot.last.bytes')]),
        lines('Snapshots', 'none', 'At their place, complete and broken.', [
          of('max', 'snapshots', { by: 'state' }),
        ]),
        lines('Parts of new ones', 'none', 'Written, published, failed.', [
          of('increase', 'snapshot.parts', { by: 'result' }),
        ]),
        lines('Looks that failed', 'none', 'At the place of the snapshots.', [
          of('increase', 'snapshot.errors', NODE),
        ]),
      ],
    },
  ],
}
