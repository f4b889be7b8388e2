/**
 * What a snapshot is: a manifest that names the copies of all partitions, one for each. It is written last, so a snapshot without
 * one is unfinished; and it is deleted first. Layout of the store:
 *
 *   <cluster>/<snapshot>/<topic>/<partition>.copy     copies (chunk.ts), one chunk after the other
 *   <cluster>/<snapshot>/manifest.json
 *
 * A snapshot's name is the time at which it was begun, so names sort by age: 20260131T235959123Z-x1y2.
 */
import { z } from 'zod'
import { TidemarkError } from '../core/errors.ts'
import { PARTITIONS_MAX } from '../core/limits.ts'
import type { Offset, Partition } from '../core/types.ts'

export const MANIFEST_VERSION = 1

const whole = z.int().nonnegative()
const hex32 = z.string().regex(/^[0-9a-f]{64}$/)

const partitionSchema = z.object({
  topic: z.string().min(1),
  topicIdentity: z.string().min(1),
  partition: whole.max(PARTITIONS_MAX - 1).transform((value) => value as Partition),
  partitions: whole.min(1).max(PARTITIONS_MAX),
  /** All records below it are in the copy: the log must hold those from it on. */
  next: whole.transform((value) => value as Offset),
  chainHash: hex32,
  rows: whole,
  object: z.object({ name: z.string().min(1), size: whole, sha256: hex32 }),
})

const schema = z.object({
  version: z.literal(MANIFEST_VERSION),
  snapshot: z.string().min(1),
  cluster: z.string().min(1),
  logIdentity: z.string().min(1),
  /** When it was published, ISO 8601. */
  createdAt: z.iso.datetime(),
  /** By topic and partition. */
  partitions: z.array(partitionSchema).readonly(),
})

export type PartitionSnapshot = Readonly<z.infer<typeof partitionSchema>>
export type Manifest = Readonly<z.infer<typeof schema>>

export const encodeManifest = (manifest: Manifest): Buffer =>
  Buffer.from(`${JSON.stringify(manifest, undefined, 1)}\n`)

/** @throws SNAPSHOT_CORRUPT, SNAPSHOT_FOREIGN for a newer version */
export function decodeManifest(name: string, bytes: Buffer): Manifest {
  const refuse = (why: string): never => {
    throw new TidemarkError('SNAPSHOT_CORRUPT', `${name} is no manifest: ${why}`, {
      metadata: { object: name },
    })
  }
  let json: unknown
  try {
    json = JSON.parse(bytes.toString('utf8'))
  } catch {
    return refuse('it is no JSON')
  }
  const version = z.object({ version: whole }).safeParse(json)
  if (version.success && version.data.version > MANIFEST_VERSION)
    throw new TidemarkError(
      'SNAPSHOT_FOREIGN',
      `${name} has version ${version.data.version}, this version of Tidemark reads ${MANIFEST_VERSION}: use a newer one`,
    )
  const parsed = schema.safeParse(json)
  if (!parsed.success) return refuse(z.prettifyError(parsed.error).replace(/\s+/g, ' '))
  return parsed.data
}

// ---- names ----

export const SNAPSHOT_NAME = /^\d{8}T\d{9}Z-[a-z0-9]{4,12}$/

/** @param at - milliseconds since 1970 @param random - tells snapshots of one millisecond apart */
export const snapshotName = (at: number, random: string): string =>
  `${new Date(at).toISOString().replace(/[-:.]/g, '')}-${random
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
    .padEnd(4, '0')
    .slice(0, 8)}`

/** When a snapshot was begun, milliseconds since 1970. */
export const begunAt = (snapshot: string): number =>
  Date.parse(snapshot.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z.*$/, '$1-$2-$3T$4:$5:$6.$7Z'))

export const manifestName = (cluster: string, snapshot: string): string =>
  `${cluster}/${snapshot}/manifest.json`

export const copyName = (cluster: string, snapshot: string, topic: string, partition: Partition): string =>
  `${cluster}/${snapshot}/${topic}/${partition}.copy`

/** The snapshot that an object belongs to; undefined for what is none of ours. */
export function snapshotOf(cluster: string, object: string): string | undefined {
  const [folder, name] = object.split('/')
  return folder === cluster && name !== undefined && SNAPSHOT_NAME.test(name) ? name : undefined
}
