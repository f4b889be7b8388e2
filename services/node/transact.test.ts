import { status } from '@grpc/grpc-js'
import { expect } from 'chai'
import {
  Compare_Operator,
  type TransactOperation,
  TransactRequest,
  type TransactResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { TTL_MS_MAX, TXN_OPERATIONS_MAX, VALUE_BYTES_MAX } from '../../streams/core/limits.ts'
import { type Served, ask, refused, serveFake } from './served.fake.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const getOf = (key: string): TransactOperation => ({
  operation: { $case: 'get', value: { key: bytes(key) } },
})
const putOf = (key: string, value: string, more = {}): TransactOperation => ({
  operation: {
    $case: 'put',
    value: { key: bytes(key), value: bytes(value), ttlMs: undefined, contentType: '', ...more },
  },
})
const deleteOf = (key: string): TransactOperation => ({
  operation: { $case: 'delete', value: { key: bytes(key) } },
})
const incrementOf = (key: string, delta: string): TransactOperation => ({
  operation: { $case: 'increment', value: { key: bytes(key), delta } },
})

describe('KeyValueService.Transact', () => {
  let served: Served
  beforeEach(async () => {
    served = await serveFake()
    // Keys that share a partition: everything before the slash.
    await served.node.createKeyspace('docs', { partitionBy: { kind: 'prefix', separator: bytes('/') } })
  })
  afterEach(() => served.close())

  const transact = (request: Parameters<typeof TransactRequest.create>[0]): Promise<TransactResponse> =>
    ask((done) => served.keyValues.transact(TransactRequest.create({ keyspace: 'docs', ...request }), done))
  const missing = (key: string) => ({
    key: bytes(key),
    operator: Compare_Operator.OPERATOR_EQUAL,
    target: { $case: 'version', value: 0 } as const,
  })
  const shown = (response: TransactResponse): (string | undefined)[] =>
    response.results.map(({ row }) => row?.value.toString())

  it('takes the then branch when all compares hold, and the else branch otherwise; neither is an error', async () => {
    const request = {
      compares: [missing('a/1')],
      thenOperations: [putOf('a/1', 'new')],
      elseOperations: [getOf('a/1')],
    }
    const first = await transact(request)
    expect(first.outcome).to.deep.include({ applied: true, succeeded: true })
    expect(shown(first)).to.deep.equal([undefined])
    const second = await transact(request)
    expect(second.outcome).to.deep.include({ applied: true, succeeded: false })
    expect(shown(second)).to.deep.equal(['new'])
  })

  it('reads a row as it was where the get stands before its change, as it is after it otherwise', async () => {
    await transact({ thenOperations: [putOf('a/1', 'old'), putOf('a/2', 'other')] })
    const response = await transact({
      thenOperations: [
        getOf('a/1'),
        putOf('a/1', 'new'),
        getOf('a/1'),
        deleteOf('a/2'),
        getOf('a/2'),
        getOf('a/3'),
      ],
    })
    expect(shown(response)).to.deep.equal(['old', undefined, 'new', undefined, undefined, undefined])
  })

  it('compares values, and adds numbers', async () => {
    await transact({ thenOperations: [incrementOf('a/n', '41')] })
    const compares = [
      {
        key: bytes('a/n'),
        operator: Compare_Operator.OPERATOR_EQUAL,
        target: { $case: 'value', value: bytes('41') } as const,
      },
    ]
    const response = await transact({ compares, thenOperations: [incrementOf('a/n', '1'), getOf('a/n')] })
    expect(shown(response)).to.deep.equal([undefined, '42'])
  })

  it('hands over what was asked for', async () => {
    await transact({
      thenOperations: [putOf('a/1', 'v', { ttlMs: 7, contentType: 'text/plain' })],
      requestId: 's/1',
    })
    expect(served.node.written).to.deep.equal([
      {
        kind: 'txn',
        compares: [],
        thenChanges: [
          { kind: 'put', key: bytes('a/1'), value: bytes('v'), ttlMs: 7, contentType: 'text/plain' },
        ],
        elseChanges: [],
        requestId: 's/1',
      },
    ])
  })

  const refusals: readonly [string, Parameters<typeof TransactRequest.create>[0], string, string][] = [
    ['no key', {}, 'FIELD_INVALID', 'compares'],
    ['an empty key', { thenOperations: [getOf('a'), getOf('')] }, 'KEY_EMPTY', 'then_operations[1].key'],
    [
      'a branch that changes a key twice',
      { thenOperations: [putOf('a/1', ''), deleteOf('a/1')] },
      'DUPLICATE_KEY',
      'then_operations[1]',
    ],
    [
      'an operation that is none',
      { elseOperations: [{ operation: undefined }] },
      'FIELD_INVALID',
      'else_operations[0]',
    ],
    ['a compare with nothing', { compares: [{ key: bytes('a') }] }, 'FIELD_INVALID', 'compares[0].target'],
    [
      'an operator that does not exist',
      { compares: [{ ...missing('a'), operator: 9 as Compare_Operator }] },
      'FIELD_INVALID',
      'compares[0].operator',
    ],
    [
      'a value over the limit',
      { thenOperations: [putOf('a', 'x'.repeat(VALUE_BYTES_MAX + 1))] },
      'VALUE_TOO_LARGE',
      '',
    ],
    ['a time to live of zero', { thenOperations: [putOf('a', '', { ttlMs: 0 })] }, 'TTL_INVALID', ''],
    [
      'a time to live over the limit',
      { thenOperations: [putOf('a', '', { ttlMs: TTL_MS_MAX + 1 })] },
      'TTL_INVALID',
      '',
    ],
    [
      'too many operations',
      {
        thenOperations: Array.from({ length: TXN_OPERATIONS_MAX + 1 }, (_, index) => putOf(`a/${index}`, '')),
      },
      'BATCH_TOO_LARGE',
      'then_operations',
    ],
    [
      'far too many',
      { elseOperations: Array.from({ length: 5000 }, () => getOf('a')) },
      'BATCH_TOO_LARGE',
      '',
    ],
  ]
  for (const [what, request, reason, field] of refusals) {
    it(`refuses ${what}`, async () => {
      const refusal = await refused(transact(request))
      expect(refusal.reason, refusal.message).to.equal(reason)
      expect(refusal.code).to.equal(status.INVALID_ARGUMENT)
      expect(refusal.metadata['field'] ?? '').to.equal(field)
      expect(served.node.written).to.deep.equal([])
    })
  }

  it('takes as many operations as the limit says', async () => {
    const thenOperations = Array.from({ length: TXN_OPERATIONS_MAX }, (_, index) => putOf(`a/${index}`, ''))
    expect((await transact({ thenOperations })).results).to.have.length(TXN_OPERATIONS_MAX)
  })

  it('refuses keys of several partitions and names them with theirs', async () => {
    const docs = served.node.keyspace('docs')
    const here = docs.partitionOf(bytes('a/1'))
    const other =
      ['b', 'c', 'd', 'e', 'f', 'g'].find((prefix) => docs.partitionOf(bytes(`${prefix}/1`)) !== here) ?? ''
    const refusal = await refused(
      transact({ compares: [missing('a/1')], thenOperations: [putOf(`${other}/1`, '')] }),
    )
    expect(refusal.reason).to.equal('TXN_SPANS_PARTITIONS')
    expect(refusal.message)
      .to.contain(`"a/1" is of partition ${here}`)
      .and.to.contain(`"${other}/1" of partition ${docs.partitionOf(bytes(`${other}/1`))}`)
  })
})
