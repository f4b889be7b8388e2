/** One call of each kind, made of random numbers and of what the workload has seen. */
import { must } from '../core/assert.ts'
import type { Consistency } from '../face.ts'
import type { Call, Change, CompareSaid, ForeignCall, OperationKind, ReadCall, WriteCall } from './history.ts'
import type { Workload } from './workload.ts'

type Maker = (workload: Workload, client: string) => Call

export const CALL_MAKERS: Readonly<Record<OperationKind, Maker>> = {
  put: (workload, client) => put(workload, client),
  cas: (workload, client) => {
    const call = put(workload, client)
    return { ...call, ifVersion: version(workload, call.key) }
  },
  ttl: (workload, client) => ({ ...put(workload, client), ttlMs: ttl(workload) }),
  delete: (workload, client) => {
    const key = workload.anyKey()
    const condition = workload.numbers.chance(30) ? { ifVersion: version(workload, key) } : {}
    return { kind: 'delete', key, ...condition, ...identity(workload, client) }
  },
  increment: (workload, client) => ({
    kind: 'increment',
    // Now and then a row that holds no number.
    key: workload.key(workload.numbers.chance(75) ? 'n' : 't'),
    delta: delta(workload),
    ...(workload.numbers.chance(10) ? { ttlMs: ttl(workload) } : {}),
    ...identity(workload, client),
  }),
  txn: transaction,
  'get-linearizable': (workload, client) => get(workload, client, 'linearizable'),
  'get-session': (workload, client) => get(workload, client, 'session'),
  'get-eventual': (workload, client) => get(workload, client, 'eventual'),
  'get-at': (workload, client) => {
    const call = get(workload, client, 'linearizable')
    const at = workload.versions.get(call.key) ?? workload.some(workload.places)?.offset ?? 0
    return { ...call, at: Math.max(0, at - workload.numbers.below(3)) }
  },
  getMany: (workload, client) => {
    const keys = Array.from({ length: 1 + workload.numbers.below(6) }, () => workload.anyKey())
    return { kind: 'getMany', keys: [...new Set(keys)], ...fresh(workload, client) }
  },
  scan,
  watch,
  history: (workload, client) => ({
    kind: 'history',
    key: workload.anyKey(),
    limit: workload.pick([1, 3, 100]),
    ...fresh(workload, client),
  }),
  outcome: (workload) => {
    const place = workload.some(workload.places)
    return { kind: 'outcome', partition: place?.partition ?? 0, offset: place?.offset ?? 0 }
  },
  foreign,
  rubbish,
  cut: () => ({ kind: 'cut' }),
}

const ttl = ({ numbers, options }: Workload): number => 1 + numbers.below(options.ttlMsMax)

const delta = (workload: Workload): string =>
  workload.numbers.chance(3) ? '9223372036854775807' : String(workload.numbers.below(7) - 2)

/** Most conditions are about the newest version that somebody saw; some about an older one, or about no row at all. */
function version({ numbers, versions }: Workload, key: string): number {
  const known = versions.get(key) ?? 0
  if (numbers.chance(70)) return known
  return numbers.chance(50) ? 0 : Math.max(0, known - 1 - numbers.below(3))
}

/** What all writes have: most a request id, some the wish to hear of the log alone. */
function identity(workload: Workload, client: string): Pick<WriteCall, 'requestId' | 'durability'> {
  const durability = workload.numbers.chance(8) ? { durability: 'logged' as const } : {}
  if (!workload.options.requestIds || workload.numbers.chance(20)) return durability
  return { requestId: `${client}/${workload.sequence(client)}`, ...durability }
}

function put(workload: Workload, client: string): Call & { readonly kind: 'put' } {
  const value = `${client}.${workload.sequence(client)}`
  const key = workload.key(workload.numbers.chance(80) ? 't' : 'x')
  const type = workload.numbers.chance(10) ? { contentType: 'text/plain' } : {}
  return { kind: 'put', key, value, ...type, ...identity(workload, client) }
}

const get = (
  workload: Workload,
  client: string,
  consistency: ReadCall['consistency'],
): Call & { readonly kind: 'get' } => ({
  kind: 'get',
  key: workload.anyKey(),
  consistency,
  token: consistency === 'eventual' ? [] : workload.tokenOf(client),
})

function fresh(workload: Workload, client: string): Pick<ReadCall, 'consistency' | 'token'> {
  const consistency = workload.pick<Consistency>(['linearizable', 'session', 'eventual'])
  return { consistency, token: consistency === 'eventual' ? [] : workload.tokenOf(client) }
}

/** Over keys of one partition. */
function transaction(workload: Workload, client: string): Call {
  const { partitionOf, keys } = workload.options
  const first = workload.key('x')
  const together = Array.from({ length: keys }, (_, at) => `x${at}`).filter(
    (key) => partitionOf(key) === partitionOf(first),
  )
  const other = workload.some(together) ?? first
  const change = (key: string): Change => {
    const value = `${client}.${workload.sequence(client)}`
    if (workload.numbers.chance(15)) return { kind: 'delete', key }
    return workload.numbers.chance(15)
      ? { kind: 'put', key, value, ttlMs: ttl(workload) }
      : { kind: 'put', key, value }
  }
  const compare: CompareSaid = {
    key: first,
    operator: workload.pick(['equal', 'equal', 'not-equal', 'greater', 'less']),
    version: version(workload, first),
  }
  const changed = other === first ? [first] : [first, other]
  return {
    kind: 'txn',
    compares: workload.numbers.chance(80) ? [compare] : [],
    thenChanges: changed.map(change),
    elseChanges: workload.numbers.chance(50) ? [change(other)] : [],
    thenReads: [
      { key: first, when: 'before' },
      { key: other, when: 'after' },
    ],
    elseReads: [{ key: first, when: 'after' }],
    ...identity(workload, client),
  }
}

function range(workload: Workload): { readonly start: string; readonly end?: string } {
  const start = workload.pick(['', '', 'n', 't', 'x'])
  // The bound behind all keys that begin with it.
  return start === '' ? { start } : { start, end: `${start}~` }
}

function scan(workload: Workload, client: string): Call {
  const { numbers } = workload
  const only = numbers.chance(20) ? { partitions: [numbers.below(workload.options.partitions)] } : {}
  return {
    kind: 'scan',
    ...range(workload),
    ...fresh(workload, client),
    ...(numbers.chance(30) ? { limit: 1 + numbers.below(5) } : {}),
    ...(numbers.chance(30) ? { reverse: true } : {}),
    ...(numbers.chance(20) ? { keysOnly: true } : {}),
    ...only,
  }
}

function watch(workload: Workload): Call {
  const { numbers } = workload
  const resume = numbers.chance(50) ? (workload.some(workload.ends) ?? []) : []
  return {
    kind: 'watch',
    ...range(workload),
    resume,
    initialRows: resume.length === 0 && numbers.chance(40),
    exact: numbers.chance(20),
    previousRows: numbers.chance(40),
  }
}

/** As another producer would write them: short forms, conditions, times to live, with and without request ids. */
function foreign(workload: Workload, client: string): ForeignCall {
  const { numbers } = workload
  const isSum = numbers.chance(30)
  const key = workload.key(isSum ? 'n' : 't')
  const headers: Record<string, string> = {}
  if (isSum) headers['tm-op'] = 'increment'
  if (numbers.chance(20)) headers['tm-if-version'] = String(version(workload, key))
  if (numbers.chance(20)) headers['tm-ttl-ms'] = String(ttl(workload))
  if (numbers.chance(40)) headers['tm-request-id'] = `${client}-foreign/${workload.sequence(client)}`
  const value = isSum ? delta(workload) : numbers.chance(20) ? null : `${client}.${workload.sequence(client)}`
  // A deletion with a time to live is none.
  if (value === null) delete headers['tm-ttl-ms']
  return { kind: 'foreign', partition: workload.options.partitionOf(key), key, value, headers }
}

/** What no replica may stumble over. */
function rubbish(workload: Workload): ForeignCall {
  const { numbers } = workload
  const key = workload.key('t')
  const noise = Array.from({ length: numbers.below(60) }, () => String.fromCharCode(numbers.below(256))).join(
    '',
  )
  const partition = workload.options.partitionOf(key)
  const made: readonly Omit<ForeignCall, 'kind' | 'partition'>[] = [
    { key: null, value: null, headers: {} },
    { key: '', value: 'no key', headers: {} },
    { key: 'k'.repeat(4097), value: 'long key', headers: {} },
    { key, value: noise, headers: { 'tm-op': 'merge' } },
    { key, value: noise, headers: { 'tm-colour': 'blue' } },
    { key, value: noise, headers: { 'tm-if-version': '-1' } },
    { key, value: noise, headers: { 'tm-ttl-ms': '0' } },
    { key, value: noise, headers: { 'tm-request-id': '' } },
    { key, value: '1.5', headers: { 'tm-op': 'increment' } },
    { key: null, value: noise, headers: { 'tm-op': 'pack' } },
    { key: null, value: noise, headers: { 'tm-op': 'txn' } },
    { key: null, value: noise, headers: { 'tm-op': 'tick', 'tm-epoch': '1' } },
    { key: null, value: noise, headers: { 'tm-op': 'mark', 'tm-epoch': '1' } },
    { key, value: noise, headers: { 'tm-op': '\u{ff}' } },
  ]
  const one = must(workload.some(made), 'some rubbish')
  // A good record in a partition where its key does not belong.
  const isMisplaced = numbers.chance(10) && workload.options.partitions > 1
  if (isMisplaced)
    return {
      kind: 'rubbish',
      partition: (partition + 1) % workload.options.partitions,
      key,
      value: 'misplaced',
      headers: {},
    }
  return { kind: 'rubbish', partition, ...one }
}
