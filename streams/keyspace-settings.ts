/** Names and settings of keyspaces: what may be asked for, and whether what stands is what was asked for. */
import { compareBytes } from './core/bytes.ts'
import type { MapSettings } from './core/cluster-map.ts'
import { TidemarkError } from './core/errors.ts'
import { NODES_MAX, PARTITIONS_MAX, TTL_MS_MAX, VALUE_BYTES_CEILING, VALUE_BYTES_MAX } from './core/limits.ts'
import { separatorOf } from './core/partitioner.ts'
import type { KeyspaceChanges, KeyspaceSettings } from './face.ts'

/** What holds where nobody set anything else, as in core/state.ts. */
export const DEFAULT_SETTINGS: MapSettings = {
  partitionBy: { kind: 'key' },
  valueBytesMax: VALUE_BYTES_MAX,
  packing: true,
  defaultTtlMs: 0,
  replication: 0,
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,99}$/
/** Bytes of a separator of keys. */
const SEPARATOR_BYTES_MAX = 16

export const isKeyspaceName = (name: string): boolean => NAME.test(name)

export const refuse = (field: string, message: string): never => {
  throw new TidemarkError('FIELD_INVALID', message, { metadata: { field } })
}

/** What may be changed later. @throws FIELD_INVALID */
export function checkChanges({ valueBytesMax, replication, defaultTtlMs }: KeyspaceChanges): void {
  if (valueBytesMax !== undefined && !(valueBytesMax >= 1 && valueBytesMax <= VALUE_BYTES_CEILING))
    refuse('value_bytes_max', `values may have up to ${VALUE_BYTES_CEILING} bytes, not ${valueBytesMax}`)
  if (replication !== undefined && !(replication >= 1 && replication <= NODES_MAX))
    refuse('replication', `a partition has 1 to ${NODES_MAX} replicas, not ${replication}`)
  if (defaultTtlMs !== undefined && !(defaultTtlMs >= 0 && defaultTtlMs <= TTL_MS_MAX))
    refuse('default_ttl_ms', `rows may live up to ${TTL_MS_MAX} ms, not ${defaultTtlMs}`)
}

/** @throws FIELD_INVALID */
export function checkKeyspace(name: string, settings: Partial<KeyspaceSettings>): void {
  if (!isKeyspaceName(name))
    refuse(
      'name',
      `"${name.slice(0, 120)}" is no keyspace name: 1 to 100 of a-z 0-9 . _ -, beginning with a letter or digit`,
    )
  checkChanges(settings)
  const { partitions, partitionBy } = settings
  if (partitions !== undefined && !(partitions >= 1 && partitions <= PARTITIONS_MAX))
    refuse('partitions', `a keyspace has 1 to ${PARTITIONS_MAX} partitions, not ${partitions}`)
  if (partitionBy?.kind === 'prefix') {
    const { length } = partitionBy.separator
    if (length < 1 || length > SEPARATOR_BYTES_MAX)
      refuse('partition_by_prefix', `a separator has 1 to ${SEPARATOR_BYTES_MAX} bytes, not ${length}`)
  }
}

/** Those settings that the log keeps and that are named. */
export function changesOf(settings: Partial<KeyspaceSettings>): Partial<MapSettings> {
  const { partitionBy, valueBytesMax, packing, defaultTtlMs, replication } = settings
  return {
    ...(partitionBy === undefined ? {} : { partitionBy }),
    ...(valueBytesMax === undefined ? {} : { valueBytesMax }),
    ...(packing === undefined ? {} : { packing }),
    ...(defaultTtlMs === undefined ? {} : { defaultTtlMs }),
    ...(replication === undefined ? {} : { replication }),
  }
}

/** The first setting that was asked for and is another in fact. */
export function differingSetting(
  found: KeyspaceSettings,
  wanted: Partial<KeyspaceSettings>,
): keyof KeyspaceSettings | undefined {
  if (wanted.partitions !== undefined && wanted.partitions !== found.partitions) return 'partitions'
  if (
    wanted.partitionBy !== undefined &&
    compareBytes(separatorOf(wanted.partitionBy), separatorOf(found.partitionBy)) !== 0
  )
    return 'partitionBy'
  if (wanted.valueBytesMax !== undefined && wanted.valueBytesMax !== found.valueBytesMax)
    return 'valueBytesMax'
  const plain = ['packing', 'defaultTtlMs', 'replication'] as const
  return plain.find((name) => wanted[name] !== undefined && wanted[name] !== found[name])
}
