/** snapshot: making, listing, checking and restoring snapshots of a cluster, and trimming the log as far as they reach. */
import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { TidemarkError } from '../../streams/core/errors.ts'
import { failpoint } from '../../streams/failpoint.ts'
import type { Manifest } from '../../streams/snapshot/manifest.ts'
import type { SnapshotStore } from '../../streams/snapshot/snapshot-store.ts'
import type { Config } from '../node/config.ts'
import { CommandFailure, EXIT } from './failure.ts'
import { parseWhole, type Globals } from './options.ts'
import { formatOf, jsonText, tableText, write, writeLine } from './output.ts'
import { progress } from './progress.ts'

export function registerSnapshot(program: Command): void {
  const snapshot = program
    .command('snapshot')
    .description('make, list, check and restore snapshots of the cluster')
    .addHelpText(
      'after',
      `
Nodes, and this command, find the snapshots at TIDEMARK_SNAPSHOT_URL: file:///path or s3://bucket/prefix.
create and trim talk to the nodes; list, verify and restore read the snapshots themselves.`,
    )
  snapshot
    .command('create')
    .description('make a snapshot of all partitions')
    .option('--keep <number>', 'then drop all but so many of the newest snapshots', parseWhole)
    .addHelpText('after', '\nExamples:\n  $ tidemark snapshot create\n  $ tidemark snapshot create --keep 7')
    .action(async (_: unknown, command: Command) =>
      create(command.optsWithGlobals<Globals & { keep?: number }>()),
    )
  snapshot
    .command('list')
    .description('list the snapshots, the newest first')
    .addHelpText('after', '\nExamples:\n  $ tidemark snapshot list\n  $ tidemark snapshot list -o json')
    .action(async (_: unknown, command: Command) => list(command.optsWithGlobals<Globals>()))
  snapshot
    .command('verify')
    .description('read a snapshot back whole, and check all of it')
    .argument('[snapshot]', 'its name (default: the newest)')
    .option('--all', 'every snapshot')
    .addHelpText('after', '\nExamples:\n  $ tidemark snapshot verify\n  $ tidemark snapshot verify --all')
    .action(async (name: string | undefined, _: unknown, command: Command) =>
      verify(name, command.optsWithGlobals<Globals & { all?: true }>()),
    )
  snapshot
    .command('restore')
    .description(
      'build the replicas of a stopped node from a snapshot; once started, it reads the rest from the log',
    )
    .argument('[snapshot]', 'its name (default: the newest)')
    .addHelpText(
      'after',
      `
The node's own settings say where to: TIDEMARK_DATA_DIR, TIDEMARK_CLUSTER, TIDEMARK_NODE_ID.

Examples:
  $ TIDEMARK_DATA_DIR=/var/lib/tidemark tidemark snapshot restore
  $ tidemark snapshot restore 20260131T120000000Z-x1y2`,
    )
    .action(async (name: string | undefined) => restore(name))
  snapshot
    .command('trim')
    .description('drop from the log, for ever, what all kept snapshots cover; each is read back first')
    .option('--dry-run', 'only say what would be dropped')
    .addHelpText('after', '\nExamples:\n  $ tidemark snapshot trim --dry-run\n  $ tidemark snapshot trim')
    .action(async (_: unknown, command: Command) =>
      trim(command.optsWithGlobals<Globals & { dryRun?: true }>()),
    )
}

/** The settings of a node, and the place of the snapshots that they name. @throws CONFIG_INVALID */
async function openPlace(): Promise<{ readonly config: Config; readonly snapshots: SnapshotStore }> {
  const { readConfig } = await import('../node/config.ts')
  const { openSnapshots } = await import('../node/snapshot-place.ts')
  const config = readConfig()
  const snapshots = await openSnapshots(config)
  if (snapshots === undefined)
    throw new TidemarkError('CONFIG_INVALID', 'set TIDEMARK_SNAPSHOT_URL: file:///path or s3://bucket/prefix')
  return { config, snapshots }
}

const complain = (sentence: string): void => {
  process.stderr.write(`tidemark: ${sentence}\n`)
}

const rowsOf = ({ partitions }: Manifest): number => partitions.reduce((sum, { rows }) => sum + rows, 0)
const bytesOf = ({ partitions }: Manifest): number =>
  partitions.reduce((sum, { object }) => sum + object.size, 0)

// ---- create ----

async function create(options: Globals & { readonly keep?: number }): Promise<void> {
  if (options.keep === 0) throw new CommandFailure('--keep: at least this one is kept', EXIT.USAGE)
  const { createSnapshot } = await import('./snapshot-create.ts')
  const bar = progress('entries')
  const made = await createSnapshot(options.server, options.keep ?? 0, {
    onProgress: bar.show,
    onTrouble: complain,
  }).finally(() => {
    bar.end()
  })
  const { snapshot, objects, token, dropped } = made
  const rows = objects.reduce((sum, object) => sum + object.rows, 0)
  const bytes = objects.reduce((sum, object) => sum + object.size, 0)
  const format = formatOf(options)
  if (format === 'json' || format === 'jsonl')
    return write(jsonText({ snapshot, partitions: objects.length, rows, bytes, token, dropped }, format))
  if (format === 'raw') return writeLine(snapshot)
  await writeLine(`snapshot ${snapshot}: ${objects.length} partitions, ${rows} rows, ${bytes} bytes`)
  for (const name of dropped) await writeLine(`dropped ${name}`)
}

// ---- list, verify ----

interface Listed {
  readonly snapshot: string
  readonly state: string
  readonly created_at?: string
  readonly partitions?: number
  readonly rows?: number
  readonly bytes?: number
}

async function list(globals: Globals): Promise<void> {
  const { config, snapshots } = await openPlace()
  const { listSnapshots } = await import('../../streams/snapshot/snapshot.ts')
  const { complete, broken, unfinished } = await listSnapshots(snapshots, config.cluster)
  const incomplete = (snapshot: string, state: string): Listed => ({ snapshot, state })
  const found = [
    ...complete.map((manifest): Listed => ({
      snapshot: manifest.snapshot,
      state: 'complete',
      created_at: manifest.createdAt,
      partitions: manifest.partitions.length,
      rows: rowsOf(manifest),
      bytes: bytesOf(manifest),
    })),
    ...broken.map(({ snapshot, error }) => incomplete(snapshot, `broken (${error.reason})`)),
    ...unfinished.map((snapshot) => incomplete(snapshot, 'unfinished')),
  ].sort((a, b) => (a.snapshot < b.snapshot ? 1 : -1))
  const format = formatOf(globals)
  if (format === 'json') return write(jsonText(found, format))
  if (format === 'jsonl') return write(found.map((one) => jsonText(one, format)).join(''))
  const lines = found.map((one) => [
    one.snapshot,
    one.state,
    ...[one.partitions, one.rows, one.bytes].map((number) => String(number ?? '-')),
  ])
  if (format === 'raw') return write(lines.map((line) => `${line.join('\t')}\n`).join(''))
  await write(tableText(['SNAPSHOT', 'STATE', 'PARTITIONS', 'ROWS', 'BYTES'], lines))
}

async function verify(name: string | undefined, options: { readonly all?: true }): Promise<void> {
  const { config, snapshots } = await openPlace()
  const { listSnapshots, readManifest, verifySnapshot } = await import('../../streams/snapshot/snapshot.ts')
  const { complete, broken } = await listSnapshots(snapshots, config.cluster)
  const [newest] = complete
  const chosen =
    options.all === true
      ? complete
      : name !== undefined
        ? [await readManifest(snapshots, config.cluster, name)]
        : newest === undefined
          ? []
          : [newest]
  const troubled =
    name !== undefined
      ? []
      : broken.filter((one) => options.all === true || one.snapshot > (newest?.snapshot ?? ''))
  if (chosen.length + troubled.length === 0)
    throw new TidemarkError(
      'SNAPSHOT_NOT_FOUND',
      `${snapshots.place} has no complete snapshot of cluster ${config.cluster}`,
    )
  const total = chosen.reduce((sum, manifest) => sum + bytesOf(manifest), 0)
  const bar = progress('bytes')
  let done = 0
  let bad = 0
  for (const { snapshot, error } of troubled) {
    bad += 1
    complain(`snapshot ${snapshot}: ${error.message}`)
  }
  for (const manifest of chosen) {
    const damages = await verifySnapshot(snapshots, manifest, (_entries, bytes) => {
      done += bytes
      bar.show(done, done / total)
    })
    bar.end()
    for (const { topic, partition, error } of damages)
      complain(`snapshot ${manifest.snapshot}: ${topic}/${partition}: ${error.message}`)
    if (damages.length > 0) bad += 1
    else
      await writeLine(
        `snapshot ${manifest.snapshot} is good: ${manifest.partitions.length} partitions, ${bytesOf(manifest)} bytes`,
      )
  }
  if (bad > 0) throw new CommandFailure(bad === 1 ? 'a snapshot is damaged' : `${bad} snapshots are damaged`)
}

// ---- restore ----

async function restore(name: string | undefined): Promise<void> {
  const { config, snapshots } = await openPlace()
  const { restorable, restoreReplicas } = await import('../../streams/snapshot/restore.ts')
  const { keptNodeId } = await import('../node/node-id.ts')
  const { openStore } = await import('../../streams/store/rocksdb.ts')
  const { claimStore } = await import('../../streams/replica/catalogue.ts')
  const directory = join(config.dataDirectory, 'replicas')
  if (existsSync(directory) && (await readdir(directory)).length > 0)
    throw new CommandFailure(
      `${directory} holds replicas already: stop the node and delete that folder, or set another TIDEMARK_DATA_DIR`,
      EXIT.CONFLICT,
    )
  const manifests = await restorable(snapshots, config.cluster, name, complain)
  const [newest] = manifests
  if (newest === undefined) return
  const nodeId = config.nodeId ?? (await keptNodeId(config.dataDirectory))
  const store = await openStore(directory)
  const total = bytesOf(newest)
  const bar = progress('entries')
  let [entries, bytes] = [0, 0]
  try {
    claimStore(store, { cluster: config.cluster, nodeId, logIdentity: newest.logIdentity })
    const restored = await restoreReplicas(manifests, {
      snapshots,
      store,
      onTrouble: complain,
      onProgress(moreEntries, moreBytes) {
        entries += moreEntries
        bytes += moreBytes
        bar.show(entries, Math.min(1, bytes / total))
      },
    })
    await failpoint('restore.sync', () => store.sync())
    await store.close()
    bar.end()
    const older = restored.filter(({ snapshot }) => snapshot !== newest.snapshot).length
    await writeLine(
      `restored ${restored.length} replicas, ${rowsOf(newest)} rows, from snapshot ${newest.snapshot} into ${directory}` +
        (older === 0 ? '' : `; ${older} of them from older ones`),
    )
  } catch (caught) {
    bar.end()
    await store.close()
    // Half of the replicas would look like all of them.
    await failpoint('restore.undo', () => rm(directory, { recursive: true, force: true }))
    throw caught
  }
}

// ---- trim ----

async function trim(options: Globals & { readonly dryRun?: true }): Promise<void> {
  const { trimLog } = await import('./snapshot-create.ts')
  const bar = progress('bytes read back')
  const dryRun = options.dryRun === true
  const done = await trimLog(options.server, dryRun, { onProgress: bar.show, onTrouble: complain }).finally(
    () => {
      bar.end()
    },
  )
  const format = formatOf(options)
  const json = done.map(({ trimmedTo, ...rest }) => ({ ...rest, trimmed_to: trimmedTo, dry_run: dryRun }))
  if (format === 'json') return write(jsonText(json, format))
  if (format === 'jsonl') return write(json.map((one) => jsonText(one, format)).join(''))
  const lines = done.map(({ keyspace, partition, start, trimmedTo, refused }) => [
    keyspace,
    String(partition),
    refused === '' ? String(start) : '-',
    refused === '' ? String(trimmedTo) : '-',
    refused === '' ? (dryRun ? 'would be trimmed' : 'trimmed') : refused,
  ])
  if (format === 'raw') return write(lines.map((line) => `${line.join('\t')}\n`).join(''))
  await write(tableText(['KEYSPACE', 'PARTITION', 'BEGAN', 'BEGINS', ''], lines))
  if (done.some(({ refused }) => refused !== '')) process.exitCode = EXIT.ERROR
}
