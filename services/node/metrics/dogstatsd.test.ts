/** What goes to a Datadog agent, and that an agent which is away costs nothing. */
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { status as grpcStatus } from '@grpc/grpc-js'
import { expect } from 'chai'
import { newDistribution, record } from '../../../streams/meters.ts'
import { must } from '../../../streams/core/assert.ts'
import { callBegan, callEnded } from '../call-meter.ts'
import { createLogger } from '../logger.ts'
import { METRIC_NAMES, datadogName } from './catalogue.ts'
import { type Sender, report, reportToDatadog } from './dogstatsd.ts'
import { type FakeMeasured, measuredFake } from './measured.fake.ts'

const TYPES = ['c', 'g', 'd']

describe('metrics for Datadog', () => {
  let measured: FakeMeasured
  beforeEach(() => {
    measured = measuredFake()
  })
  afterEach(() => {
    measured.runtime.stop()
  })

  const sender = (): { lines: string[]; client: Sender } => {
    const lines: string[] = []
    return {
      lines,
      client: {
        send: (line, tags) =>
          void lines.push([line, ...Object.entries(tags).map((tag) => tag.join(':'))].join(' ')),
        check: (name, status) => void lines.push(`check ${name} ${status}`),
      },
    }
  }

  it('are differences of counts, gauges, and durations with their weight', () => {
    const { lines, client } = sender()
    const sent = new Map<string, number>()
    const meter = must(measured.meters.get('/tidemark.v1.KeyValueService/Get'), 'a meter')
    report(client, measured, sent)
    expect(lines).to.include('tidemark.grpc.requests:1|c method:KeyValueService/Get code:OK')
    expect(lines).to.include('tidemark.apply.records:12|c keyspace:default')
    expect(lines).to.include('tidemark.apply.misplaced_keys:0|c')
    expect(lines).to.include('tidemark.ready:1|g')
    expect(lines).to.include('tidemark.lag.worst.records:3|g keyspace:default partition:3')
    expect(lines).to.include('tidemark.kafka.request.duration:0.25|d api:Fetch')
    expect(lines).to.include('check tidemark.can_serve 0')
    expect(new Set(lines.flatMap((line) => /^tidemark\.[^:]+/.exec(line) ?? []))).to.deep.equal(
      new Set(METRIC_NAMES.map(datadogName)),
    )

    lines.splice(0)
    for (let calls = 0; calls < 49; calls++) callEnded(meter, grpcStatus.OK, 0, 2)
    callBegan(meter)
    report(client, measured, sent)
    const counted = lines.filter((line) => line.includes('|c'))
    expect(counted.filter((line) => !/process|runtime/.test(line))).to.deep.equal([
      'tidemark.grpc.requests:49|c method:KeyValueService/Get code:OK',
    ])
    const duration = lines.find((line) => line.startsWith('tidemark.grpc.request.duration'))
    const [, mean, rate] = must(
      /:([\d.]+)\|d\|@([\d.e-]+) method:/.exec(must(duration, 'durations')),
      'a weight',
    )
    expect(Number(mean)).to.be.closeTo(0.002, 1e-9)
    expect(Math.trunc(1 / Number(rate))).to.equal(49)
  })

  it('weigh a bucket by a rate that comes out whole again, whatever the number', () => {
    const distribution = newDistribution()
    measured.totals.taggedDurations['kafka.request.duration'].all.set('Fetch', distribution)
    const sent = new Map<string, number>()
    for (let samples = 2; samples < 3000; samples = Math.ceil(samples * 1.07)) {
      const { lines, client } = sender()
      for (let at = 0; at < samples; at++) record(distribution, 0.03)
      report(client, measured, sent)
      const [, rate] = must(
        /duration:[\d.]+\|d\|@([\d.e-]+) api/.exec(lines.filter((line) => line.includes('api')).join('\n')),
        'a rate',
      )
      expect(Math.trunc(1 / Number(rate))).to.equal(samples)
    }
  })

  describe('and the agent', () => {
    let agent: Socket
    const packets: string[] = []
    const logged: string[] = []
    const logger = createLogger('info', { write: (line) => logged.push(line) })
    beforeEach(async () => {
      packets.splice(0)
      logged.splice(0)
      agent = createSocket('udp4')
      agent.on('message', (packet) => packets.push(packet.toString()))
      agent.bind(0, '127.0.0.1')
      await once(agent, 'listening')
    })
    afterEach(() => {
      delete process.env['DD_DOGSTATSD_URL']
      delete process.env['DD_ENV']
    })
    const addressOf = (socket: Socket): string => `udp://127.0.0.1:${socket.address().port}`

    it('none is asked for: nothing is sent', async () => {
      const stop = await reportToDatadog({ datadogHost: undefined, datadogUrl: undefined }, measured, logger)
      await stop()
      agent.close()
      expect(packets).to.deep.equal([])
    })

    it('gets every metric in packets that fit a frame, with the tags of the node and of the environment', async () => {
      const datadogUrl = addressOf(agent)
      process.env['DD_DOGSTATSD_URL'] = datadogUrl
      process.env['DD_ENV'] = 'test'
      const stop = await reportToDatadog({ datadogHost: undefined, datadogUrl }, measured, logger)
      await stop()
      const wanted = new Set(METRIC_NAMES.map(datadogName))
      while (!packets.some((packet) => packet.includes('log.can_connect'))) await once(agent, 'message')
      agent.close()
      const lines = packets.join('\n').split('\n')
      for (const packet of packets) expect(Buffer.byteLength(packet)).to.be.at.most(1432)
      for (const line of lines.filter((one) => !one.startsWith('_sc|'))) {
        const [, name = '', type] = must(/^([^:]+):[-\d.e]+\|([cgd])(\|@[\d.e-]+)?\|#.*$/.exec(line), line)
        expect(TYPES).to.include(type)
        expect(line)
          .to.match(/node:node-1/)
          .and.match(/cluster:fake/)
          .and.match(/env:test/)
        wanted.delete(name)
      }
      expect([...wanted]).to.deep.equal([])
      expect(
        lines.filter((line) => line.startsWith('_sc|')).map((line) => line.split('|')[1]),
      ).to.include.members(['tidemark.can_serve', 'tidemark.log.can_connect'])
    })

    it('is away: one line in the log at most, and nothing is thrown', async () => {
      const datadogUrl = addressOf(agent)
      agent.close()
      process.env['DD_DOGSTATSD_URL'] = datadogUrl
      const stop = await reportToDatadog({ datadogHost: undefined, datadogUrl }, measured, logger)
      await stop()
      expect(logged.length).to.be.at.most(1)
    })

    it('has a name that nobody knows: one line in the log, and the errors are counted', async () => {
      agent.close()
      const stop = await reportToDatadog(
        { datadogHost: 'agent.invalid', datadogUrl: undefined },
        measured,
        logger,
      )
      await stop()
      expect(logged).to.have.length(1)
      expect(logged[0]).to.contain('cannot send metrics to the Datadog agent')
      expect(measured.telemetry.errors).to.be.at.least(1)
    })
  })
})
