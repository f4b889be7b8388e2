/** Names and settings of keyspaces: what may be asked for, and whether what stands is what was asked for. */
import { compareBytes } from './core/bytes.ts'
import { TidemarkError } from './core/errors.ts'
import { PARTITIONS_MAX, VALUE_BYTES_CEILING } from './core/limits.ts'
import { separatorOf } from './core/partitioner.ts'
import type { KeyspaceSettings } from './face.ts'

const NAME = /^[a-z0-9][a-z0-9._-]{0,99}$/
/** Bytes of a separator of keys. */
const SEPARATOR_BYTES_MAX = 16

export const isKeyspaceName = (name: string): boolean => NAME.test(name)

/** @throws FIELD_INVALID */
export function checkKeyspace(name: string, settings: Partial<KeyspaceSettings>): void {
  const refuse = (field: string, message: string): never => {
    throw new TidemarkError('FIELD_INVALID', message, { metadata: { field } })
  }
  if (!isKeyspaceName(name))
    refuse(
      'name',
      `"${name.slice(0, 120)}" is no keyspace name: 1 to 100 of a-z 0-9 . _ -, beginning with a letter or digit`,
    )
  const { partitions, valueBytesMax, partitionBy } = settings
  if (partitions !== undefined && !(partitions >= 1 && partitions <= PARTITIONS_MAX))
    refuse('partitions', `a keyspace has 1 to ${PARTITIONS_MAX} partitions, not ${partitions}`)
  if (valueBytesMax !== undefined && !(valueBytesMax >= 1 && valueBytesMax <= VALUE_BYTES_CEILING))
    refuse('value_bytes_max', `values may have up to ${VALUE_BYTES_CEILING} bytes, not ${valueBytesMax}`)
  if (partitionBy?.kind === 'prefix') {
    const { length } = partitionBy.separator
    if (length < 1 || length > SEPARATOR_BYTES_MAX)
      refuse('partition_by_prefix', `a separator has 1 to ${SEPARATOR_BYTES_MAX} bytes, not ${length}`)
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
  if (wanted.packing !== undefined && wanted.packing !== found.packing) return 'packing'
  return undefined
}
