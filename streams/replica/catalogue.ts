/**
 * What a data directory says of itself: whose it is, and which prefix each replica has. Lies under prefix 0, which no replica gets.
 *
 *   0 'i'                        → JSON: layout, cluster, node id, identity of the log
 *   0 'p' topic '\0' partition:u32 → prefix:u32
 *   0 'n'                        → the last prefix given, u32
 */
import { TidemarkError } from '../core/errors.ts'
import { replicaPrefix } from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import type { Partition } from '../core/types.ts'
import type { Store } from '../store/store.ts'

/** Also that of what lies under the prefixes: keys.ts, state.ts, row.ts. */
const LAYOUT = 2

export interface Owner {
  readonly cluster: string
  readonly nodeId: string
  readonly logIdentity: string
}

const ownKey = (letter: string, rest: Uint8Array = new Uint8Array(0)): Buffer =>
  Buffer.concat([Buffer.alloc(4), Buffer.from(letter, 'latin1'), rest])

/** Marks a fresh store as the owner's, or refuses a store that is another's. @throws STORE_FOREIGN, STORE_CORRUPT */
export function claimStore(store: Store, owner: Owner): void {
  const known = store.getMany([ownKey('i')])[0]
  if (known === undefined) {
    const batch = store.batch()
    batch.put(ownKey('i'), Buffer.from(JSON.stringify({ layout: LAYOUT, ...owner })))
    store.write(batch, { sync: true })
    return
  }
  const written = readOwner(known)
  if (written.layout !== LAYOUT)
    throw new TidemarkError(
      'STORE_FOREIGN',
      `the data directory has layout ${written.layout}, this node reads layout ${LAYOUT}: delete the folder \`replicas\` in it ` +
        'to build the replicas anew from the log, or start the version of Tidemark that made it',
      { metadata: { field: 'layout', found: String(written.layout), wanted: String(LAYOUT) } },
    )
  const differing = (['cluster', 'nodeId', 'logIdentity'] as const).find(
    (name) => written[name] !== owner[name],
  )
  if (differing === undefined) return
  throw new TidemarkError(
    'STORE_FOREIGN',
    `the data directory belongs to ${differing} "${written[differing]}", this node is of "${owner[differing]}": ` +
      'give this node its own TIDEMARK_DATA_DIR, or delete the folder `replicas` in it to build them anew from the log',
    { metadata: { field: differing, found: written[differing], wanted: owner[differing] } },
  )
}

function readOwner(bytes: Uint8Array): Owner & { readonly layout: number } {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    if (typeof parsed === 'object' && parsed !== null && 'layout' in parsed) {
      const text = (name: string): string => {
        const value: unknown = Reflect.get(parsed, name)
        return typeof value === 'string' ? value : ''
      }
      return {
        layout: Number(parsed.layout),
        cluster: text('cluster'),
        nodeId: text('nodeId'),
        logIdentity: text('logIdentity'),
      }
    }
  } catch {
    // Told below: a mark that is no JSON is as damaged as one that lacks its fields.
  }
  throw new TidemarkError('STORE_CORRUPT', 'the mark of the data directory is damaged')
}

/** The prefix of a replica; a new one where it has none yet. */
export function prefixOf(store: Store, topic: string, partition: Partition): Prefix {
  const number = Buffer.alloc(4)
  number.writeUInt32BE(partition)
  const key = ownKey('p', Buffer.concat([Buffer.from(`${topic}\0`, 'utf8'), number]))
  const [known, last] = store.getMany([key, ownKey('n')])
  if (known !== undefined) return Buffer.from(known)
  const next = last === undefined ? 1 : Buffer.from(last).readUInt32BE(0) + 1
  const prefix = replicaPrefix(next)
  const batch = store.batch()
  batch.put(key, prefix)
  batch.put(ownKey('n'), prefix)
  store.write(batch)
  return prefix
}
