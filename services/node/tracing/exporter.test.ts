import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect } from 'chai'
import { SPANS_CLOSE_MS_MAX, SPANS_WAITING_MAX } from '../../../streams/core/limits.ts'
import { must } from '../../../streams/core/assert.ts'
import { Tally } from '../../../streams/meters.ts'
import { type Exporter, openExporter } from './exporter.ts'
import { SpanKind } from './spans.ts'

describe('spans on their way out', () => {
  let lines: string[]
  let spans: Tally
  let heard: () => void
  beforeEach(() => {
    lines = []
    spans = new Tally(['sent', 'failed', 'dropped'])
    heard = () => undefined
  })

  const open = (port: number): Exporter => {
    const log = (line: string): void => {
      lines.push(line)
      heard()
    }
    const receiver = { endpoint: `http://127.0.0.1:${port}/`, headers: { 'api-key': 'secret' } }
    return openExporter(receiver, { 'service.name': 'test' }, spans, { warn: log, info: log })
  }
  const make = (exporter: Exporter, count: number): void => {
    for (let made = 0; made < count; made++)
      exporter.start({ name: 'it', kind: SpanKind.INTERNAL, attributes: {}, parent: undefined }).end()
  }

  it('are sent before the end, with the headers', async () => {
    const requests: string[] = []
    const server = createServer((request, response) => {
      requests.push(`${request.method} ${request.url} ${String(request.headers['api-key'])}`)
      request.resume().on('end', () => response.end())
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const exporter = open(must(addressOf(server), 'a port'))
    make(exporter, 3)
    await exporter.close()
    server.close()
    expect(requests).to.deep.equal(['POST /v1/traces secret'])
    expect([...spans.totals]).to.deep.equal([
      ['sent', 3],
      ['failed', 0],
      ['dropped', 0],
    ])
    expect(lines).to.deep.equal([])
  })

  it('wait for a receiver that does not answer up to the bound; the others are dropped and counted', async () => {
    const server = createServer(() => undefined).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const exporter = open(must(addressOf(server), 'a port'))
    const first = once(server, 'request')
    make(exporter, SPANS_WAITING_MAX)
    await first
    // The first request is out: its spans have made room.
    make(exporter, 2 * SPANS_WAITING_MAX)
    expect(spans.totals.get('dropped')).to.be.within(SPANS_WAITING_MAX, 2 * SPANS_WAITING_MAX)
    const began = performance.now()
    await exporter.close()
    expect(performance.now() - began).to.be.below(SPANS_CLOSE_MS_MAX + 500)
    server.closeAllConnections()
    server.close()
  })

  it('a receiver that refuses costs one line, and one when it takes them again', async () => {
    let status = 400
    const server = createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(status).end())
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const exporter = open(must(addressOf(server), 'a port'))
    const told = (): Promise<void> => new Promise((resolve) => (heard = resolve))
    const failed = told()
    make(exporter, 1)
    await failed
    expect(spans.totals.get('failed')).to.equal(1)
    make(exporter, 1)
    const answered = once(server, 'request')
    await answered
    const recovered = told()
    status = 200
    make(exporter, 1)
    await recovered
    expect(lines).to.have.lengthOf(2)
    expect(lines[0]).to.match(/^cannot send traces to http:\/\/127\.0\.0\.1:\d+\/v1\/traces: /)
    expect(lines[1]).to.match(/^traces are sent to .* again$/)
    await exporter.close()
    server.close()
  })
})

function addressOf(server: ReturnType<typeof createServer>): number | undefined {
  const address = server.address()
  return typeof address === 'object' ? address?.port : undefined
}
