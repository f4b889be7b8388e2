/** What operators see: HTTP, metrics, logs. */
import { status as grpcStatus } from '@grpc/grpc-js'
import { expect } from 'chai'
import { TidemarkError } from '../../streams/core/errors.ts'
import { offset, partition } from '../../streams/core/types.ts'
import { addressText } from './address.ts'
import { must } from '../../streams/core/assert.ts'
import { callBegan, callEnded } from './call-meter.ts'
import { type HttpServer, serveHttp } from './http.ts'
import { createLogger, toggleDebug, traceFields } from './logger.ts'
import { type FakeMeasured, measuredFake } from './metrics/measured.fake.ts'
import { METRIC_NAMES, prometheusName } from './metrics/catalogue.ts'
import { createMetrics } from './metrics/prometheus.ts'
import { createTelemetry } from './telemetry.ts'

const LOCAL = { host: '127.0.0.1', port: 0 }

describe('the HTTP port', () => {
  let http: HttpServer
  let draining: AbortController
  let state: FakeMeasured
  beforeEach(async () => {
    draining = new AbortController()
    state = measuredFake()
    const readiness = {
      get node() {
        return state.node
      },
      draining: draining.signal,
    }
    http = await serveHttp(LOCAL, readiness, createMetrics(state))
  })
  afterEach(() => {
    state.runtime.stop()
    return http.stop()
  })

  const get = async (
    path: string,
    method = 'GET',
  ): Promise<{ status: number; text: string; type: string | null }> => {
    const response = await fetch(`http://${addressText(http.address)}${path}`, { method })
    return {
      status: response.status,
      text: await response.text(),
      type: response.headers.get('content-type'),
    }
  }

  it('lives', async () => {
    expect(await get('/livez')).to.deep.include({ status: 200, text: 'ok\n' })
  })

  it('is ready while the node is: not while it opens, restores or drains', async () => {
    expect(await get('/readyz')).to.deep.include({ status: 200, text: 'ready\n' })
    state.node?.setReady(false)
    expect(await get('/readyz')).to.deep.include({ status: 503, text: 'not ready\n' })
    const node = state.node
    state.node = undefined
    expect(await get('/readyz?verbose')).to.deep.include({ status: 503, text: 'opening\n' })
    state.node = node
    node?.setReady(true)
    draining.abort()
    expect(await get('/readyz')).to.deep.include({ status: 503, text: 'draining\n' })
  })

  it('says why, for each replica', async () => {
    const { node } = state
    if (node === undefined) throw new Error('no node')
    const [first, ...others] = node.replicas()
    if (first === undefined) throw new Error('no replica')
    const stopped = { reason: 'LOG_TRIMMED', message: 'offset 7 is gone' } as const
    node.replicas = () => [
      { ...first, state: 'stopped', next: offset(7), logEnd: offset(9), stopped },
      ...others,
    ]
    node.ready = false
    const { text } = await get('/readyz?verbose')
    expect(text.split('\n').slice(0, 2)).to.deep.equal([
      '[-] default/0 stopped 7 of 9 LOG_TRIMMED: offset 7 is gone',
      '[+] default/1 live 100 of 101',
    ])
  })

  it('has three paths and no more', async () => {
    expect((await get('/')).status).to.equal(404)
    expect((await get('/livez', 'POST')).status).to.equal(405)
    expect(await get('/livez', 'HEAD')).to.deep.include({ status: 200, text: '' })
  })

  it('gives metrics that Prometheus reads', async () => {
    const meter = must(state.meters.get('/tidemark.v1.KeyValueService/Get'), 'a meter')
    callEnded(meter, grpcStatus.NOT_FOUND, callBegan(meter) - 70)
    callBegan(meter)
    const { text, type } = await get('/metrics')
    expect(type).to.contain('text/plain; version=0.0.4')
    const method = 'method="KeyValueService/Get"'
    const node = 'cluster="fake",node="node-1"'
    for (const line of [
      `tidemark_grpc_requests_total{${method},code="OK",${node}} 1`,
      `tidemark_grpc_requests_total{${method},code="NOT_FOUND",${node}} 1`,
      `tidemark_grpc_requests_in_flight{${method},${node}} 1`,
      `tidemark_grpc_request_duration_seconds_bucket{${method},le="0.04",${node}} 1`,
      `tidemark_grpc_request_duration_seconds_bucket{${method},le="0.1",${node}} 2`,
      `tidemark_grpc_request_duration_seconds_bucket{${method},le="+Inf",${node}} 2`,
      `tidemark_grpc_request_duration_seconds_count{${method},${node}} 2`,
      `tidemark_lag_worst_records{keyspace="default",partition="3",${node}} 3`,
      `tidemark_lag_records{quantile="1",${node}} 3`,
      `tidemark_replicas{state="live",${node}} 4`,
      `tidemark_replicas{state="stopped",${node}} 0`,
      `tidemark_apply_records_total{keyspace="default",${node}} 12`,
      `tidemark_ready{${node}} 1`,
    ]) {
      expect(text.split('\n')).to.include(line)
    }
    const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name)
    expect(names).to.deep.equal(METRIC_NAMES.map(prometheusName))
    // Counters are totals, however often they are read.
    expect((await get('/metrics')).text).to.contain(
      `tidemark_grpc_requests_total{${method},code="OK",${node}} 1\n`,
    )
  })

  it('says so when another process has the port', async () => {
    const taken = await serveHttp(
      http.address,
      { node: undefined, draining: draining.signal },
      createMetrics(state),
    ).catch((caught: unknown) => caught)
    expect(taken).to.be.instanceOf(TidemarkError).with.property('reason', 'PORT_TAKEN')
    expect(taken)
      .to.have.property('message')
      .that.contains(addressText(http.address))
      .and.contains('TIDEMARK_HTTP_LISTEN')
  })
})

describe('the log of the node', () => {
  const lines: string[] = []
  beforeEach(() => lines.splice(0))
  const output = (isTTY: boolean) => ({ isTTY, write: (line: string) => lines.push(line) })

  it('is JSON for machines', () => {
    createLogger('info', output(false)).info({ keyspace: 'a' }, 'hello')
    expect(lines).to.have.length(1)
    expect(JSON.parse(lines[0] ?? '')).to.deep.include({ level: 'info', msg: 'hello', keyspace: 'a' })
  })

  it("is Elastic's Common Schema where that is asked for, with secrets hidden still", () => {
    const logger = createLogger('info', output(false), 'ecs')
    logger.error({ err: new Error('boom'), keyspace: 'a', password: 'hunter2' }, 'a bug')
    const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>
    expect(line).to.include({ 'log.level': 'error', message: 'a bug', keyspace: 'a', password: '[Redacted]' })
    expect(line).to.have.property('@timestamp')
    expect(line['ecs.version']).to.be.a('string')
    expect(JSON.stringify(line['error'] ?? line)).to.contain('boom')
    createLogger('info', output(true), 'ecs').info('for people')
    expect(lines[1]).to.match(/info {2}for people/)
  })

  it('names the trace of a line as log pipelines look for it', () => {
    const ids = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) }
    createLogger('info', output(false)).info(traceFields('json')(ids), 'traced')
    createLogger('info', output(false), 'ecs').info(traceFields('ecs')(ids), 'traced')
    const [json, ecs] = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(json).to.include({ trace_id: ids.traceId, span_id: ids.spanId })
    expect(ecs).to.include({ 'trace.id': ids.traceId, 'span.id': ids.spanId })
  })

  it('says more, and less again, while the node runs', () => {
    const logger = createLogger('info', output(false))
    expect(toggleDebug(logger, 'info')).to.equal('debug')
    logger.debug('now')
    expect(toggleDebug(logger, 'info')).to.equal('info')
    logger.debug('no more')
    expect(lines).to.have.length(1)
  })

  it('is plain text on a terminal, with the stack of a bug alone', () => {
    const logger = createLogger('info', output(true))
    logger.warn('no broker answers')
    logger.error({ err: new Error('boom') }, 'a bug')
    logger.debug('nobody asked')
    expect(lines[0]).to.match(/^\d\d:\d\d:\d\d warn {2}no broker answers\n$/)
    expect(lines[1]).to.match(/^\d\d:\d\d:\d\d error a bug\nError: boom\n\s+at /)
    expect(lines).to.have.length(2)
  })

  it('hides what is secret, whoever logs it', () => {
    createLogger('info', output(false)).info({
      password: 'hunter2',
      kafka: { password: 'hunter2', sasl: { password: 'hunter2' } },
    })
    expect(lines.join('')).not.to.contain('hunter2')
  })

  it('has one line for a partition that stops, for trouble and for its end', () => {
    const telemetry = createTelemetry(createLogger('info', output(false)))
    telemetry.stopped('orders', partition(3), new TidemarkError('LOG_TRIMMED', 'offset 7 is gone'))
    telemetry.trouble('no broker answers')
    telemetry.recovered('a broker answers again')
    expect(
      lines
        .map((line) => JSON.parse(line) as { level: string; msg: string })
        .map(({ level, msg }) => `${level}: ${msg}`),
    ).to.deep.equal([
      'error: partition 3 of keyspace orders stopped serving: offset 7 is gone (LOG_TRIMMED)',
      'warn: no broker answers',
      'info: a broker answers again',
    ])
    expect(telemetry.meters.counts.troubles).to.equal(1)
    expect(telemetry.meters.tallies['partitions.stopped'].totals.get('LOG_TRIMMED')).to.equal(1)
  })
})
