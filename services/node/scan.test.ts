import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { type ServiceError, status } from '@grpc/grpc-js'
import { expect } from 'chai'
import {
  KeyValueServiceService,
  ScanRequest,
  type ScanResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { SCAN_MESSAGE_BYTES } from '../../streams/core/limits.ts'
import { type Served, refusalOf, serveFake } from './served.fake.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const soon = (): { deadline: number } => ({ deadline: Date.now() + 5000 })

describe('KeyValueService.Scan', () => {
  let served: Served
  beforeEach(async () => (served = await serveFake()))
  afterEach(() => served.close())

  const fill = async (count: number, value: Buffer): Promise<void> => {
    for (let index = 0; index < count; index++) {
      const key = bytes(`k${String(index).padStart(4, '0')}`)
      await served.node.keyspace('default').write({ kind: 'put', key, value }, soon())
    }
  }
  const scan = async (request: Parameters<typeof ScanRequest.create>[0]): Promise<ScanResponse[]> => {
    const messages: ScanResponse[] = []
    for await (const message of served.keyValues.scan(ScanRequest.create(request)))
      messages.push(message as ScanResponse)
    return messages
  }
  const keysOf = (messages: readonly ScanResponse[]): string[] =>
    messages.flatMap(({ rows }) => rows.map(({ key }) => key.toString()))

  it('streams rows in the order of their keys over all partitions', async () => {
    await fill(30, bytes('v'))
    const messages = await scan({})
    expect(keysOf(messages)).to.deep.equal(
      Array.from({ length: 30 }, (_, index) => `k${String(index).padStart(4, '0')}`),
    )
    const space = served.node.keyspace('default')
    for (const row of messages.flatMap(({ rows }) => rows)) {
      expect(row.partition).to.equal(space.partitionOf(row.key))
      expect(row.value).to.deep.equal(bytes('v'))
    }
    expect(messages).to.have.length(1)
    expect(messages[0]?.nodeId).to.equal('node-1')
    expect(messages[0]?.token?.positions).to.have.length(4)
  })

  it('sends messages of about SCAN_MESSAGE_BYTES, with the token in the first and the last', async () => {
    await fill(60, Buffer.alloc(20_000))
    const messages = await scan({})
    expect(messages.length).to.be.within(4, 6)
    for (const { rows } of messages) expect(rows.length * 20_000).to.be.lessThan(SCAN_MESSAGE_BYTES + 21_000)
    expect(messages.map(({ token }) => token !== undefined)).to.deep.equal(
      messages.map((_, index) => index === 0 || index === messages.length - 1),
    )
    expect(messages.map(({ nodeId }) => nodeId)).to.deep.equal(
      messages.map((_, index) => (index === 0 ? 'node-1' : '')),
    )
    expect(keysOf(messages)).to.have.length(60)
  })

  it('answers with one message where there is nothing', async () => {
    const messages = await scan({ prefix: bytes('none') })
    expect(messages).to.have.length(1)
    expect(messages[0]?.rows).to.deep.equal([])
    expect(messages[0]?.token?.logIdentity).to.equal('fake-log')
  })

  it('takes prefix, range, both together, limit, reverse and keys only', async () => {
    await fill(30, bytes('v'))
    expect(keysOf(await scan({ prefix: bytes('k000') }))).to.have.length(10)
    expect(keysOf(await scan({ start: bytes('k0028') }))).to.deep.equal(['k0028', 'k0029'])
    expect(keysOf(await scan({ start: bytes('k0003'), end: bytes('k0005') }))).to.deep.equal([
      'k0003',
      'k0004',
    ])
    expect(
      keysOf(await scan({ prefix: bytes('k000'), start: bytes('k0008'), end: bytes('k0020') })),
    ).to.deep.equal(['k0008', 'k0009'])
    expect(keysOf(await scan({ prefix: bytes('k000'), start: bytes('k002') }))).to.deep.equal([])
    expect(keysOf(await scan({ limit: 2, reverse: true }))).to.deep.equal(['k0029', 'k0028'])
    const rows = (await scan({ keysOnly: true, limit: 1 })).flatMap((message) => message.rows)
    expect(rows.map(({ value }) => value.length)).to.deep.equal([0])
  })

  it('refuses a range that ends before it begins, and a keyspace that is not there', async () => {
    const reasonOf = (request: Parameters<typeof ScanRequest.create>[0]): Promise<string> =>
      scan(request).then(
        () => 'none',
        (error: unknown) => refusalOf(error as ServiceError).reason,
      )
    expect(await reasonOf({ start: bytes('b'), end: bytes('a') })).to.equal('FIELD_INVALID')
    expect(await reasonOf({ keyspace: 'nowhere' })).to.equal('KEYSPACE_NOT_FOUND')
    expect(await reasonOf({ prefix: Buffer.alloc(4098) })).to.equal('KEY_TOO_LONG')
  })

  it('waits for a slow peer instead of reading ahead, and frees the iterator when it leaves', async () => {
    await fill(1000, Buffer.alloc(20_000))
    const space = served.node.keyspace('default')
    const open = space.scan.bind(space)
    let pulled = 0
    let returned = false
    space.scan = async (options) => {
      const { token, rows } = await open(options)
      async function* counted(): AsyncGenerator<typeof rows extends AsyncIterable<infer T> ? T : never> {
        try {
          for await (const chunk of rows) {
            for (let at = 0; at < chunk.length; at += 10) {
              pulled += 10
              yield chunk.slice(at, at + 10)
            }
          }
        } finally {
          returned = true
        }
      }
      return { token, rows: counted() }
    }
    const call = served.keyValues.scan(ScanRequest.create({}))
    call.on('error', () => undefined)
    await once(call, 'readable')
    let last = -1
    while (pulled !== last) {
      last = pulled
      for (let index = 0; index < 20; index++) await turn()
    }
    expect(pulled).to.be.lessThan(1000)
    call.cancel()
    while (!returned) await turn()
    const meter = served.meters.get(KeyValueServiceService.scan.path)
    while (meter?.inFlight !== 0) await turn()
    expect(meter.ended[status.CANCELLED]).to.equal(1)
  })
})
