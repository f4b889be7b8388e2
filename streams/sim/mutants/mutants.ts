/**
 * Bugs to plant, one at a time, to see that the simulator finds them: a text of a compiled file and what stands there instead. A text that
 * does not stand there exactly once is an error, so a mutant cannot get lost when the code changes.
 */
export interface Mutant {
  readonly name: string
  /** Under dist. */
  readonly file: string
  readonly find: string
  readonly put: string
}

const mutant = (name: string, file: string, find: string, put: string): Mutant => ({
  name,
  file: `streams/${file}`,
  find,
  put,
})

export const MUTANTS: readonly Mutant[] = [
  // ---- the core
  mutant(
    'request ids are not looked up',
    'core/apply.js',
    `if (seen !== 'new')
        return { ...seen, duplicate: true };`,
    '',
  ),
  mutant(
    'outcomes of requests are not remembered',
    'core/apply.js',
    'remember(session, sequence, outcome);',
    '',
  ),
  mutant(
    'outcomes of a pack go to the wrong writers',
    'replica/writer.js',
    'outcome: effects.outcomes[at]',
    'outcome: effects.outcomes[waiting.length - 1 - at]',
  ),
  mutant(
    'a condition is not looked at',
    'core/conditions.js',
    'return wanted === 0 ? row === undefined : row?.version === wanted;',
    'return true;',
  ),
  mutant(
    '"if it does not exist" holds always',
    'core/conditions.js',
    'return wanted === 0 ? row === undefined :',
    'return wanted === 0 ? true :',
  ),
  mutant(
    'a transaction always takes its first branch',
    'core/apply.js',
    'const branch = succeeded ?',
    'const branch = true ?',
  ),
  mutant(
    'a time to live counts by the clock of the node',
    'core/apply.js',
    'return livesMs === 0 ? 0 : time + livesMs;',
    'return livesMs === 0 ? 0 : Date.now() + livesMs;',
  ),
  mutant(
    'rows expire one millisecond late',
    'core/working-set.js',
    'if (due === undefined || due.at > time)',
    'if (due === undefined || due.at >= time)',
  ),
  mutant(
    'an increment drops the expiry of its row',
    'core/apply.js',
    'row !== undefined && ttlMs === undefined ? row.expiresAt :',
    'false ? 0 :',
  ),
  mutant(
    'partition time steps back with the clock of a broker',
    'core/apply.js',
    'time > before && time <= LOG_TIME_MAX ? time : before',
    'time <= LOG_TIME_MAX ? time : before',
  ),
  mutant(
    'a key in a wrong partition is applied',
    'core/apply.js',
    'partitionOf(key, state.partitions, state.partitionBy) !== state.partition',
    'false',
  ),
  mutant(
    'the index of expiries loses an entry',
    'core/working-set.js',
    'batch.put(expiryKey(prefix, current.expiresAt, slot.key), NOTHING);',
    '{ if (current.expiresAt % 4 > 0) batch.put(expiryKey(prefix, current.expiresAt, slot.key), NOTHING); }',
  ),
  mutant('a delta leaves out deleted rows', 'replica/watch.js', 'if (since >= 0)', 'if (false)'),
  mutant(
    'an expiry is told as a deletion',
    'core/apply.js',
    `change(context, 'expired', due.key,`,
    `change(context, 'deleted', due.key,`,
  ),
  // ---- the replica
  mutant(
    'the offset is one too far in the store',
    'core/apply.js',
    'state.next = (offset + 1);',
    'state.next = (offset + 2);',
  ),
  mutant(
    'writers are told before the batch is written',
    'replica/replica.js',
    'this.store.write(batch);',
    'written(); this.store.write(batch);',
  ),
  mutant(
    'the offset is not in the batch of the rows',
    'replica/replica.js',
    `batch.put(metaKey(this.prefix), encodeState(state));
        }, () => {
            work.settle();`,
    `if (state.next % 3 === 0) batch.put(metaKey(this.prefix), encodeState(state));
        }, () => {
            work.settle();`,
  ),
  mutant(
    'a full disk skips the batch',
    'replica/replica.js',
    "if (error.reason !== 'DISK_FULL' ||",
    "if (error.reason === 'DISK_FULL') { written(); return; } if (error.reason !== 'DISK_FULL' ||",
  ),
  mutant(
    'a replica that is opened again skips a record',
    'replica/replica.js',
    'this.#log.read(this.topic, partition, next, {',
    'this.#log.read(this.topic, partition, next > 0 ? next + 1 : next, {',
  ),
  mutant(
    'a past version is one record late',
    'replica/read.js',
    'while (row !== undefined && row.version > at)',
    'while (row !== undefined && row.version > at + 1)',
  ),
  mutant(
    'damage that a read finds stops nothing',
    'replica/guarded-store.js',
    "return error.reason === 'STORE_CORRUPT' ? damaged(error) : error;",
    'return error;',
  ),
  // ---- reads
  mutant(
    'linearizable reads do not wait',
    'freshness.js',
    "if (consistency === 'linearizable') {",
    'if (false) {',
  ),
  mutant(
    'linearizable reads believe an end without proof',
    'freshness.js',
    'return await this.#readIndex.end(replica.state.partition);',
    'return replica.logEnd;',
  ),
  mutant('a read joins the round that runs already', 'replica/read-index.js', 'this.#next = undefined;', ''),
  mutant(
    'an end that cannot be proved counts as fresh',
    'freshness.js',
    'await this.#options.writer.barrier(replica, end);',
    '',
  ),
  mutant('a token is not waited for', 'freshness.js', 'await this.#wait(replica, (seen + 1), end);', ''),
  mutant(
    'a token is one offset short',
    'freshness.js',
    'await this.#wait(replica, (seen + 1), end);',
    'await this.#wait(replica, seen, end);',
  ),
  // ---- watches
  mutant(
    'a watch resumes one record late',
    'replica/watch.js',
    'replica.state.next : (seen.offset + 1);',
    'replica.state.next : (seen.offset + 2);',
  ),
  mutant(
    'a watch resumes one record early',
    'replica/watch.js',
    'replica.state.next : (seen.offset + 1);',
    'replica.state.next : (seen.offset);',
  ),
  mutant(
    'a watch loses what comes while it reads its first rows',
    'replica/watch.js',
    "yield message('initial-end', [], positions(places));\n        }\n        else {",
    "for (const place of places) place.next = place.replica.state.next; yield message('initial-end', [], positions(places));\n        }\n        else {",
  ),
  mutant('positions of a watch are one too far', 'replica/fanout.js', 'offset: (next - 1),', 'offset: next,'),
  // ---- writing
  mutant(
    'what a node sends again has a new request id',
    'replica/outgoing.js',
    'const requestId = first.mutation.requestId ?? own;',
    'const requestId = own;',
  ),
  mutant('two mutations of a key share a pack', 'replica/grouping.js', 'if (keys.has(key) ||', 'if ('),
  // ---- the node
  mutant(
    'a node leads without waiting for its record',
    'node/leading.js',
    'if (mine)\n                this.#take(name);',
    'if (true)\n                this.#take(name);',
  ),
  mutant('a damaged replica is not built again', 'node/assignment.js', "    'STORE_CORRUPT',\n", ''),
]
