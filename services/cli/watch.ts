/** watch: changes as they happen, a line for each. */
import type { Command } from 'commander'
import type { Watch, WatchItem, WatchOptions } from '../client/index.ts'
import { EXIT } from './failure.ts'
import { parseWhole, withClient, type Globals } from './options.ts'
import { formatOf, writeLine, type Format } from './output.ts'
import { changeJson, timeText } from './row-text.ts'
import { addSelectionOptions, selectionOf, type SelectionOptions } from './scan.ts'
import { keyText, parseKey, printable, printableBytes, tabCell, type KeyEncoding } from './text.ts'

interface Options extends Globals, SelectionOptions {
  readonly key?: string
  readonly resume?: string
  readonly initial?: true
  readonly exact?: true
  readonly previous?: true
  readonly count?: number
  readonly restart?: true
}

export function registerWatch(program: Command): void {
  addSelectionOptions(program.command('watch').description('follow changes, a line for each, until Ctrl-C'))
    .argument('[prefix]', 'only keys that start with this')
    .option('--key <key>', 'only this key')
    .option('--initial', 'the rows as they stand first, then changes')
    .option('--resume <token>', 'go on after this token (from -o jsonl)')
    .option('--exact', 'fail rather than skip to final states where exact history is gone')
    .option('--restart', 'begin again with the rows as they stand where history is gone')
    .option('--previous', 'with the row as it was before (in -o jsonl)')
    .option('--count <changes>', 'end after so many changes', parseWhole)
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark watch                                    everything, from now
  $ tidemark watch user: --initial
  $ tidemark watch --key greeting --count 1           wait for one change
  $ tidemark watch -o jsonl > changes.jsonl
  $ tidemark watch --resume "$(tail -1 changes.jsonl | jq -r .token)" -o jsonl

Reconnects by itself; no change is missed or repeated. Ctrl-C ends it with exit code 0.
raw writes type, tab, key, tab, value; marks (initial-end, restart, delta-begin) have their name only.`,
    )
    .action(async (prefix: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>()
      const watchOptions: WatchOptions = {
        ...selectionOf(prefix, options, command),
        ...(options.key === undefined ? {} : { key: parseKey(options.key, options.keyEncoding) }),
        ...(options.resume === undefined ? {} : { resume: options.resume }),
        initialRows: options.initial ?? false,
        exact: options.exact ?? false,
        previousRows: options.previous ?? false,
        onCompacted: options.restart === true ? 'restart' : 'fail',
      }
      await withClient(options, async (db) => {
        await follow(db.watch(watchOptions), options, options.count ?? Infinity)
      })
    })
}

async function follow(watch: Watch, globals: Globals, count: number): Promise<void> {
  const format = formatOf(globals)
  const leave = (): void => void watch.return?.()
  process.once('SIGINT', leave).once('SIGTERM', leave)
  let changes = 0
  try {
    if (count === 0) return
    for await (const item of watch) {
      await writeLine(lineOf(item, format, globals.keyEncoding))
      if ('row' in item && (changes += 1) === count) return
    }
  } finally {
    process.off('SIGINT', leave).off('SIGTERM', leave)
    process.exitCode ??= EXIT.OK
  }
}

function lineOf(item: WatchItem, format: Format, encoding: KeyEncoding): string {
  const { token } = item
  if (format === 'json' || format === 'jsonl') {
    const { ...fields } = 'row' in item ? changeJson(item) : { type: item.type }
    return JSON.stringify({ ...fields, token })
  }
  if (!('row' in item)) return format === 'raw' ? item.type : `-- ${item.type}`
  const { type, row, timeMs } = item
  if (format === 'raw') {
    const key = encoding === 'utf8' ? tabCell(row.key) : keyText(row.key, encoding)
    return type === 'put' ? `${type}\t${key}\t${tabCell(row.value)}` : `${type}\t${key}`
  }
  const at = timeMs === 0 ? '' : `  ${timeText(timeMs)}`
  const value = type === 'put' ? `  ${printableBytes(row.value)}` : ''
  const position = `${row.partition}:${row.version}`
  return `${type.padEnd(7)}  ${position.padEnd(8)}${at}  ${printable(keyText(row.key, encoding))}${value}`
}
