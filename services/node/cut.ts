/**
 * A cut: a barrier of one name in every partition of some keyspaces, so that all their positions make one token.
 *
 *   partition 0:  begin ──────────────────────────▶ done
 *   the others:        └─▶ barriers, all at once ─┘
 *
 * Partition 0 decides: the barriers of the others carry the offset at which it began, so two cuts of one name, one of which it has
 * forgotten, never mix. Once `done` stands in partition 0 the cut is finished and may have been answered: from then on the barriers of
 * the others are only looked for, never appended, so that the same name gives the same token or an error, and no third thing.
 */
import { TidemarkError } from '../../streams/core/errors.ts'
import { CUT_NAME_CHARS_MAX, TOKEN_POSITIONS_MAX } from '../../streams/core/limits.ts'
import { type Position, type Partition, partition as partitionAt } from '../../streams/core/types.ts'
import type { Barrier, Keyspace } from '../../streams/face.ts'
import { refuse, refuseField } from './validate.ts'

export interface CutPlace extends Position {
  /** Log time there, milliseconds since 1970; undefined where it is no longer known. */
  readonly time: number | undefined
}

export interface Cut {
  readonly places: readonly CutPlace[]
  /** All of it had been finished before. */
  readonly repeated: boolean
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const FIRST = partitionAt(0)

/** @throws FIELD_INVALID */
export function checkCutName(name: string): string {
  if (name.length > CUT_NAME_CHARS_MAX)
    throw refuseField('name', `it has ${name.length} characters, the limit is ${CUT_NAME_CHARS_MAX}`)
  if (!NAME.test(name))
    throw refuseField(
      'name',
      'it may have letters, digits, "-", "_" and ".", and starts with a letter or digit',
    )
  return name
}

/** @param deadline - milliseconds since 1970 @throws REQUEST_ID_FORGOTTEN where a partition has forgotten the name since */
export async function cutThrough(
  keyspaces: readonly Keyspace[],
  name: string,
  deadline: number,
): Promise<Cut> {
  const partitions = keyspaces.reduce((sum, { info }) => sum + info.partitions, 0)
  if (partitions > TOKEN_POSITIONS_MAX)
    throw refuse(
      'BATCH_TOO_LARGE',
      `these keyspaces have ${partitions} partitions, a token takes ${TOKEN_POSITIONS_MAX}: cut fewer at a time`,
      'keyspaces',
      { limit: String(TOKEN_POSITIONS_MAX), actual: String(partitions) },
    )
  const cuts = await Promise.all(keyspaces.map((keyspace) => cutOne(keyspace, name, deadline)))
  return {
    places: cuts.flatMap(({ places }) => places),
    repeated: cuts.every(({ repeated }) => repeated),
  }
}

async function cutOne(keyspace: Keyspace, name: string, deadline: number): Promise<Cut> {
  const begun = await keyspace.barrier(FIRST, `cut:${name}`, deadline)
  const own = `cut:${name}@${begun.offset}`
  const done = `${own}!`
  const finished = begun.repeated && (await keyspace.findBarrier(FIRST, done, deadline)) !== undefined
  const others = Array.from({ length: keyspace.info.partitions - 1 }, (_, at) => partitionAt(at + 1))
  const barriers = await Promise.all(
    others.map((partition) =>
      finished ? found(keyspace, name, partition, own, deadline) : keyspace.barrier(partition, own, deadline),
    ),
  )
  if (!finished) await keyspace.barrier(FIRST, done, deadline)
  const places = [begun, ...barriers].map(({ partition, offset, time }) => ({
    keyspace: keyspace.info.name,
    partition,
    offset,
    time,
  }))
  return { places, repeated: finished }
}

async function found(
  keyspace: Keyspace,
  name: string,
  partition: Partition,
  id: string,
  deadline: number,
): Promise<Barrier> {
  const barrier = await keyspace.findBarrier(partition, id, deadline)
  if (barrier !== undefined) return barrier
  throw new TidemarkError(
    'REQUEST_ID_FORGOTTEN',
    `partition ${partition} of keyspace ${keyspace.info.name} has forgotten the cut ${name}, which was finished long ago: cut under another name`,
    { metadata: { keyspace: keyspace.info.name, partition: String(partition) } },
  )
}

/** By name, each once. */
export const chosenKeyspaces = (names: readonly string[], all: readonly string[]): readonly string[] =>
  [...new Set(names.length === 0 ? all : names)].sort()
