/** A node of which every metric has something to tell, for tests. */
import { status as grpcStatus } from '@grpc/grpc-js'
import { offset } from '../../../streams/core/types.ts'
import { newMeters, record } from '../../../streams/meters.ts'
import { STORE_MEASURES } from '../../../streams/store/store.ts'
import { callBegan, callEnded, newCallMeter } from '../call-meter.ts'
import { FakeNode } from '../face.fake.ts'
import type { Measured } from './look.ts'
import { type Runtime, watchRuntime } from './runtime.ts'

export type FakeMeasured = Omit<Measured, 'node' | 'telemetry'> & {
  node: FakeNode | undefined
  telemetry: { errors: number }
  readonly runtime: Runtime
}

/** Stop its `runtime`. */
export function measuredFake(): FakeMeasured {
  const meter = newCallMeter('KeyValueService/Get')
  callEnded(meter, grpcStatus.OK, callBegan(meter))
  const totals = newMeters()
  totals.tallies['apply.records'].add('default', 12)
  totals.tallies['kafka.request.errors'].add('Fetch', 0)
  record(totals.taggedDurations['kafka.request.duration'].of('Fetch'), 0.25)
  for (const duration of Object.values(totals.durations)) record(duration, 0.003)
  const runtime = watchRuntime()
  record(runtime.gc.of('minor'), 0.001)
  return {
    node: new LaggingNode(),
    meters: new Map([['/tidemark.v1.KeyValueService/Get', meter]]),
    totals,
    runtime,
    snapshots: {
      state: { complete: 2, broken: 0, newest: { at: Date.now() - 3_600_000, bytes: 1 << 20 } },
      errors: 0,
      look: () => Promise.resolve(),
      stop: () => undefined,
    },
    dataDirectory: '.',
    telemetry: { errors: 0 },
  }
}

/** Partition n lags by n records. */
class LaggingNode extends FakeNode {
  override replicas(): ReturnType<FakeNode['replicas']> {
    return super.replicas().map((replica) => ({
      ...replica,
      next: offset(100),
      logEnd: offset(100 + replica.partition),
      time: Date.now() - 2000,
    }))
  }

  override vitals(): ReturnType<FakeNode['vitals']> {
    return {
      ...super.vitals(),
      map: { generation: 3, nodes: [], topics: [] },
      store: Object.fromEntries(STORE_MEASURES.map((name) => [name, 7])),
    }
  }
}
