/** What lies below: the store on disk, and the client of the log. */
import { type Board, lines, number, of } from './board.ts'

const NODE = { by: 'node' }
const API = { by: 'api' }

export const ROCKSDB: Board = {
  name: 'tidemark-rocksdb',
  title: 'Tidemark: RocksDB and disk',
  description: 'Does the store keep up, and is there room.',
  groups: [
    {
      title: 'Does it keep up?',
      panels: [
        number(
          'Nodes that write nothing',
          'none',
          'RocksDB has stopped writes: compaction or the disk cannot keep up.',
          [of('sum', 'rocksdb.write.stopped')],
          { limits: { warn: 1, bad: 1 } },
        ),
        number(
          'Background errors',
          'none',
          'Of flushes and compactions.',
          [of('sum', 'rocksdb.background_errors')],
          { limits: { warn: 1, bad: 1 } },
        ),
        number(
          'Free on the fullest disk',
          'ratio',
          'Of the data directories.',
          [of('min', 'disk.free.bytes'), of('min', 'disk.total.bytes')],
          { formula: 'a / b', limits: { warn: 0.2, bad: 0.1, low: true } },
        ),
        number(
          'Most files in level 0',
          'none',
          'Slowed from 20, stopped at 36.',
          [of('max', 'rocksdb.files.level0')],
          { limits: { warn: 20, bad: 36 } },
        ),
        lines('Writes are slowed to', 'bytes a second', '0 = they are not.', [
          of('max', 'rocksdb.write.delayed_rate', NODE),
        ]),
        lines('Waiting for compaction', 'bytes', 'An estimate.', [
          of('max', 'rocksdb.compaction.pending.bytes', NODE),
        ]),
        lines('Memory tables that wait', 'none', 'Writes stop when six do.', [
          of('max', 'rocksdb.memtables.waiting', NODE),
        ]),
        lines('Files in level 0', 'none', 'By node.', [of('max', 'rocksdb.files.level0', NODE)]),
        lines('Flushes and compactions', 'none', 'That run.', [
          of('sum', 'rocksdb.flushes.running', { label: 'flushes' }),
          of('sum', 'rocksdb.compactions.running', { label: 'compactions' }),
        ]),
        lines('Apply, p99', 'seconds', 'Where a slow store shows.', [of('p99', 'apply.duration', NODE)]),
      ],
    },
    {
      title: 'Room',
      panels: [
        lines('Free on disk', 'bytes', 'For the user of the node.', [of('min', 'disk.free.bytes', NODE)]),
        lines('Size of the disk', 'bytes', 'Of the data directory.', [of('max', 'disk.total.bytes', NODE)]),
        lines('Files', 'bytes', 'Tables on disk.', [of('max', 'rocksdb.files.bytes', NODE)]),
        lines('Live data', 'bytes', 'An estimate; what lies between is waiting for compaction.', [
          of('max', 'rocksdb.live.bytes', NODE),
        ]),
        lines('Keys', 'none', 'Rows, history, sessions and tombstones, an estimate.', [
          of('max', 'rocksdb.keys', NODE),
        ]),
        lines('Snapshots held open', 'none', 'By scans and copies.', [of('max', 'rocksdb.snapshots', NODE)]),
      ],
    },
    {
      title: 'Memory',
      panels: [
        lines(
          'Block cache in use',
          'ratio',
          'Of what it may hold.',
          [of('sum', 'rocksdb.cache.used.bytes', NODE), of('sum', 'rocksdb.cache.capacity.bytes', NODE)],
          { formula: 'a / b' },
        ),
        lines('Memory tables', 'bytes', 'Those that are pinned included.', [
          of('max', 'rocksdb.memtables.bytes', NODE),
        ]),
        lines('Indexes and filters', 'bytes', 'Outside the cache.', [
          of('max', 'rocksdb.readers.bytes', NODE),
        ]),
      ],
    },
  ],
}

export const KAFKA: Board = {
  name: 'tidemark-kafka',
  title: 'Tidemark: log and Kafka client',
  description: 'Does the log take writes, does it give records, and which request is slow.',
  groups: [
    {
      title: 'Does the log answer?',
      panels: [
        number('Nodes whose log answers', 'none', 'All should.', [of('sum', 'log.healthy')]),
        number('Appends that wait', 'none', 'For their acknowledgement.', [
          of('sum', 'log.appends.in_flight'),
        ]),
        number('Connections', 'none', 'To brokers.', [of('sum', 'kafka.connections')]),
        number('Requests that wait', 'none', 'Long fetches always do.', [
          of('sum', 'kafka.requests.in_flight'),
        ]),
        lines('Appends that failed', 'a second', 'After all retries; callers got LOG_UNAVAILABLE.', [
          of('rate', 'log.append.errors', { by: 'reason' }),
        ]),
        lines('Rounds without a proof', 'a second', 'Linearizable reads wait for a barrier instead.', [
          of('rate', 'log.read_index.errors', { by: 'reason' }),
        ]),
      ],
    },
    {
      title: 'Append',
      panels: [
        lines('Duration, p50', 'seconds', 'Until acknowledged.', [of('p50', 'log.append.duration', NODE)]),
        lines('Duration, p99', 'seconds', 'Until acknowledged.', [of('p99', 'log.append.duration', NODE)]),
        lines('Records', 'a second', 'Appended; packs count as one.', [
          of('rate', 'log.append.records', NODE),
        ]),
        lines('Bytes', 'bytes a second', 'Keys and values, before compression.', [
          of('rate', 'log.append.bytes', NODE),
        ]),
      ],
    },
    {
      title: 'Read',
      panels: [
        lines('Records', 'a second', 'Read by all replicas.', [of('rate', 'log.read.records', NODE)]),
        lines('Bytes', 'bytes a second', 'Read.', [of('rate', 'log.read.bytes', NODE)]),
        lines('Read index, p50', 'seconds', 'Rounds that prove the end of the log.', [
          of('p50', 'log.read_index.duration', NODE),
        ]),
        lines('Read index, p99', 'seconds', 'Likewise.', [of('p99', 'log.read_index.duration', NODE)]),
      ],
    },
    {
      title: 'Requests to brokers',
      panels: [
        lines('Duration, p99 by request', 'seconds', 'Fetch holds on up to 250 ms while nothing comes.', [
          of('p99', 'kafka.request.duration', API),
        ]),
        lines('Failed by request', 'a second', 'Or without an answer in time.', [
          of('rate', 'kafka.request.errors', API),
        ]),
        lines('Connections made', 'none', 'More than at the start: brokers go away.', [
          of('increase', 'kafka.connections.opened', NODE),
        ]),
        lines('Connections', 'none', 'By node.', [of('sum', 'kafka.connections', NODE)]),
      ],
    },
  ],
}
