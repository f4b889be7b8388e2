/**
 * A keyspace as any node serves it: what concerns a partition that this node has goes to its own replica, the rest to a peer that
 * has one. The way to an own replica costs a look into an array, and a promise where another node could answer in its place.
 */
import { must } from '../../../streams/core/assert.ts'
import { keyOfRange } from '../../../streams/core/bytes.ts'
import { checkKey, checkMutation } from '../../../streams/core/checks.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import { ROUTE_ATTEMPT_MS } from '../../../streams/core/limits.ts'
import type { Mutation, Row } from '../../../streams/core/mutation.ts'
import { type Offset, type Partition, partition as partitionAt } from '../../../streams/core/types.ts'
import type {
  Answered as FromNode,
  Barrier,
  BatchReadResult,
  Freshness,
  HistoryResult,
  Keyspace,
  KeyspaceInfo,
  OutcomeResult,
  Provenance,
  ReadResult,
  Scan,
  ScanOptions,
  SettleWrite,
  TransactionReads,
  Watch,
  WatchOptions,
  WriteOptions,
  WriteResult,
} from '../../../streams/face.ts'
import { type Answered, type Asking, answersElsewhere, askEach } from './failover.ts'
import { mergeScans } from './merged-scan.ts'
import { mergeWatches } from './merged-watch.ts'
import { Places, type Purpose } from './places.ts'
import type { Rows } from './remote-keyspace.ts'
import type { Router } from './router.ts'

export class RoutedKeyspace implements Keyspace {
  readonly local: Keyspace
  readonly #router: Router
  readonly #places: Places

  constructor(local: Keyspace, router: Router) {
    this.local = local
    this.#router = router
    this.#places = new Places(local, router)
  }

  get info(): KeyspaceInfo {
    return this.local.info
  }

  partitionOf(key: Uint8Array): Partition {
    return this.local.partitionOf(key)
  }

  #askEach<T>(
    partitions: readonly Partition[],
    deadline: number,
    ask: Asking<T>['ask'],
    more: Partial<Asking<T>> & { readonly purpose?: Purpose } = {},
  ): Promise<Answered<T>[]> {
    return askEach<T>({
      partitions,
      deadline,
      ask,
      places: (partition) => this.#places.of(partition, more.purpose ?? 'read'),
      rest: (ms) => this.#router.rest(ms),
      elsewhere: (error, place) => answersElsewhere(error, place, true),
      ...more,
    })
  }

  /** A read of one partition. */
  async #read<T extends FromNode | undefined>(
    partition: Partition,
    freshness: Freshness,
    ask: (rows: Rows, freshness: Freshness) => Promise<T>,
    tried: readonly string[] = [],
  ): Promise<T> {
    const [answered] = await this.#askEach(
      [partition],
      freshness.deadline,
      ({ rows }, _, deadline) => ask(rows, { ...freshness, deadline }),
      { tried },
    )
    return answerOf(answered)
  }

  // ---- writing ----

  write(mutation: Mutation, options: WriteOptions, reads?: TransactionReads): Promise<WriteResult> {
    return new Promise((resolve, reject) => {
      const settle = (result: WriteResult | TidemarkError): void => {
        if (result instanceof TidemarkError) reject(result)
        else resolve(result)
      }
      this.submit(mutation, options, settle, reads)
    })
  }

  submit(mutation: Mutation, options: WriteOptions, settle: SettleWrite, reads?: TransactionReads): void {
    if (this.#places.routes.alone) this.local.submit(mutation, options, settle, reads)
    else this.#submitRouted(mutation, options, settle, reads)
  }

  #submitRouted(
    mutation: Mutation,
    options: WriteOptions,
    settle: SettleWrite,
    reads: TransactionReads | undefined,
  ): void {
    const { routes, own } = this.#places
    const away = (tried: readonly string[]): void => {
      this.#writeAway(mutation, options, reads, tried).then(settle, (caught: unknown) => {
        settle(TidemarkError.from(caught))
      })
    }
    if (!routes.allHere && !this.#isHere(this.#partitionOfMutation(mutation, reads))) {
      away([])
      return
    }
    const repeatable = mutation.requestId !== undefined
    const settleHere = (result: WriteResult | TidemarkError): void => {
      if (result instanceof TidemarkError && answersElsewhere(result, own, repeatable)) away([own.nodeId])
      else settle(result)
    }
    this.local.submit(mutation, options, settleHere, reads)
  }

  /** Undefined: it has no one partition, and this node says best what is wrong with that. */
  #isHere(partition: Partition | undefined): boolean {
    return partition === undefined || this.#places.routes.here[partition] === true
  }

  async #writeAway(
    mutation: Mutation,
    options: WriteOptions,
    reads: TransactionReads | undefined,
    tried: readonly string[],
  ): Promise<WriteResult> {
    checkMutation(mutation, this.local.info.valueBytesMax)
    const partition = this.#partitionOfMutation(mutation, reads)
    if (partition === undefined) return this.local.write(mutation, options, reads)
    const named =
      mutation.requestId === undefined ? { ...mutation, requestId: this.#router.nextRequestId() } : mutation
    const [answered] = await this.#askEach(
      [partition],
      options.deadline,
      ({ rows }, _, deadline) => rows.write(named, { ...options, deadline }, reads),
      { tried, purpose: 'write' },
    )
    return answerOf(answered)
  }

  #partitionOfMutation(mutation: Mutation, reads: TransactionReads | undefined): Partition | undefined {
    if (mutation.kind !== 'txn') return this.local.partitionOf(mutation.key)
    const { compares, thenChanges, elseChanges } = mutation
    const { thenReads = [], elseReads = [] } = reads ?? {}
    const partitions = new Set<Partition>()
    for (const list of [compares, thenChanges, elseChanges, thenReads, elseReads])
      for (const { key } of list) partitions.add(this.local.partitionOf(key))
    const [partition] = partitions
    return partitions.size === 1 ? partition : undefined
  }

  async barrier(partition: Partition, requestId: string, deadline: number): Promise<Barrier> {
    const [answered] = await this.#askEach(
      [partition],
      deadline,
      ({ rows }, _, until) => rows.barrier(partition, requestId, until),
      { purpose: 'write' },
    )
    return answerOf(answered)
  }

  findBarrier(partition: Partition, requestId: string, deadline: number): Promise<Barrier | undefined> {
    return this.#read(partition, { deadline }, (rows, demanded) =>
      rows.findBarrier(partition, requestId, demanded.deadline),
    )
  }

  // ---- reading ----

  get(key: Uint8Array, freshness: Freshness): Promise<ReadResult> {
    const { routes } = this.#places
    if (routes.alone) return this.local.get(key, freshness)
    if (routes.allHere || this.#isHere(this.local.partitionOf(key)))
      return this.local.get(key, freshness).catch((caught: unknown) => {
        if (!answersElsewhere(TidemarkError.from(caught), this.#places.own, true)) throw caught
        return this.#getAway(key, freshness, [this.#places.own.nodeId])
      })
    return this.#getAway(key, freshness, [])
  }

  async #getAway(key: Uint8Array, freshness: Freshness, tried: readonly string[]): Promise<ReadResult> {
    checkKey(key)
    const partition = this.local.partitionOf(key)
    return this.#read(partition, freshness, (rows, demanded) => rows.get(key, demanded), tried)
  }

  async getAt(key: Uint8Array, at: Offset, freshness: Freshness): Promise<ReadResult> {
    checkKey(key)
    return this.#read(this.local.partitionOf(key), freshness, (rows, demanded) =>
      rows.getAt(key, at, demanded),
    )
  }

  async history(key: Uint8Array, limit: number, freshness: Freshness): Promise<HistoryResult> {
    checkKey(key)
    return this.#read(this.local.partitionOf(key), freshness, (rows, demanded) =>
      rows.history(key, limit, demanded),
    )
  }

  async outcome(partition: Partition, offset: Offset, deadline: number): Promise<OutcomeResult> {
    if (partition >= this.info.partitions) return this.local.outcome(partition, offset, deadline)
    return this.#read(partition, { deadline }, (rows, demanded) =>
      rows.outcome(partition, offset, demanded.deadline),
    )
  }

  async getMany(keys: readonly Uint8Array[], freshness: Freshness): Promise<BatchReadResult> {
    const routes = this.#places.routes
    if (routes.alone) return this.local.getMany(keys, freshness)
    let tried: readonly string[] = []
    if (routes.allHere) {
      const soon = Date.now() + ROUTE_ATTEMPT_MS
      const cut = soon < freshness.deadline
      try {
        // This node may be cut off from the log, and could only wait.
        return await this.local.getMany(keys, cut ? { ...freshness, deadline: soon } : freshness)
      } catch (caught) {
        const error = TidemarkError.from(caught)
        if (!(cut && wasLate(error)) && !answersElsewhere(error, this.#places.own, true)) throw caught
        tried = [this.#places.own.nodeId]
      }
    }
    const places = new Map<Partition, number[]>()
    keys.forEach((key, at) => {
      checkKey(key)
      const partition = this.local.partitionOf(key)
      const known = places.get(partition)
      if (known === undefined) places.set(partition, [at])
      else known.push(at)
    })
    const rows = new Array<Row | undefined>(keys.length)
    const provenance: Provenance[] = []
    const answers = await this.#askEach(
      [...places.keys()],
      freshness.deadline,
      async ({ rows: there }, partitions, deadline) => {
        const wanted = partitions.flatMap((partition) => places.get(partition) ?? [])
        const demanded = { ...freshness, deadline }
        const read = await there.getMany(
          wanted.map((at) => must(keys[at], 'a key')),
          demanded,
        )
        return { wanted, read }
      },
      { tried },
    )
    for (const { answer } of answers) {
      answer.wanted.forEach((at, order) => (rows[at] = answer.read.rows[order]))
      provenance.push(...answer.read.provenance)
    }
    return { rows, provenance }
  }

  // ---- streams ----

  #chosen(partitions: readonly Partition[] | undefined): readonly Partition[] {
    return partitions ?? Array.from({ length: this.info.partitions }, (_, at) => partitionAt(at))
  }

  async scan(options: ScanOptions): Promise<Scan> {
    if (this.#places.routes.alone) return this.local.scan(options)
    const scans = await this.#askEach(
      this.#chosen(options.partitions),
      options.deadline,
      ({ rows }, partitions, deadline) => rows.scan({ ...options, partitions, deadline }),
      { release: (scan) => void scan.rows.return?.() },
    )
    return mergeScans(
      scans.map(({ answer }) => answer),
      options,
    )
  }

  async watch(options: WatchOptions): Promise<Watch> {
    if (this.#places.routes.alone) return this.local.watch(options)
    const key = keyOfRange(options.range)
    const chosen = this.#chosen(options.partitions)
    const partitions =
      key === undefined ? chosen : chosen.filter((partition) => partition === this.local.partitionOf(key))
    // None, or one that does not exist: this node says what that means.
    if (partitions.length === 0 || partitions.some((each) => each >= this.info.partitions))
      return this.local.watch({ ...options, partitions })
    return mergeWatches(options, partitions, (wanted, asked, deadline, tried) =>
      this.#askEach(wanted, deadline, ({ rows }, some) => rows.watch({ ...asked, partitions: some }), {
        tried,
        rounds: Infinity,
        release: (watch) => void watch.return?.(),
        elsewhere: (error, place) =>
          answersElsewhere(error, place, true) || error.reason === 'OVERLOADED' || wasLate(error),
      }),
    )
  }
}

const wasLate = ({ reason }: TidemarkError): boolean => reason === 'DEADLINE_EXCEEDED'

/** Of one partition, with the name of the node that gave it. */
function answerOf<T extends FromNode | undefined>(answered: Answered<T> | undefined): T {
  const { answer, place } = must(answered, 'the answer')
  return answer === undefined || place.own ? answer : { ...answer, answeredBy: place.nodeId }
}
