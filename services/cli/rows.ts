/** get, put, del, incr: one row at a time. */
import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { Row, Tidemark, Written } from '../client/index.ts'
import { CommandFailure, EXIT } from './failure.ts'
import { parseDelta, parseDuration, parseWhole, withClient, type Globals } from './options.ts'
import { AS_OF } from './scan.ts'
import { formatOf, jsonText, tableText, write, writeLine, type Format } from './output.ts'
import { rowJson, rowsTable } from './row-text.ts'
import { parseKey, printable } from './text.ts'

export function registerRows(program: Command): void {
  registerGet(program)
  registerPut(program)
  registerDelete(program)
  registerIncrement(program)
}

function registerGet(program: Command): void {
  program
    .command('get')
    .description('read a row, or several')
    .argument('<key...>', 'the key; with several, missing rows are left out')
    .option('--at-version <version>', 'the row as this version of its partition left it', parseWhole)
    .option(...AS_OF)
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark get greeting
  $ tidemark get greeting > file          the value, byte for byte
  $ tidemark get greeting -o json         with version, expiry and content type
  $ tidemark get a b c -o jsonl           several rows in one request
  $ tidemark get --key-encoding hex 00ff

Exits with 3 when there is no such row (with several keys: when there is none of them).`,
    )
    .action(async (keys: string[], _: unknown, command: Command) => {
      const globals = command.optsWithGlobals<Globals & { atVersion?: number; asOf?: string }>()
      const parsed = keys.map((key) => parseKey(key, globals.keyEncoding))
      const { atVersion } = globals
      const asOf = globals.asOf === undefined ? {} : { asOf: globals.asOf }
      const rows = await withClient(globals, async (db) => {
        if (parsed.length > 1 && atVersion === undefined) return db.getMany(parsed, asOf)
        return Promise.all(
          parsed.map((key) => db.get(key, { ...asOf, ...(atVersion === undefined ? {} : { atVersion }) })),
        )
      })
      const found = rows.filter((row): row is Row => row !== undefined)
      if (found.length === 0) {
        const names = keys.map(printable).join(', ')
        throw new CommandFailure(
          `no row has the key ${names} in keyspace ${globals.keyspace}`,
          EXIT.NOT_FOUND,
        )
      }
      await writeRows(found, globals, keys.length > 1)
    })
}

async function writeRows(rows: readonly Row[], globals: Globals, several: boolean): Promise<void> {
  const format = formatOf(globals)
  switch (format) {
    case 'table':
      return write(rowsTable(rows, globals.keyEncoding))
    case 'json':
      return write(jsonText(several ? rows.map(rowJson) : rows.map(rowJson)[0], format))
    case 'jsonl':
      return write(rows.map((row) => jsonText(rowJson(row), format)).join(''))
    case 'raw':
      for (const { value } of rows) {
        await write(value)
        if (several || process.stdout.isTTY) await writeLine('')
      }
  }
}

function registerPut(program: Command): void {
  program
    .command('put')
    .description('write a row')
    .argument('<key>')
    .argument('<value>', 'the value; - reads it from standard input')
    .option('--if-version <version>', 'only if the row has this version', parseWhole)
    .option('--create', 'only if there is no such row')
    .option('--ttl <duration>', 'the row expires after this: 500ms, 10s, 5m, 1h, 30d', parseDuration)
    .option('--content-type <type>', 'kept with the row')
    .option('--logged', 'return when the log has it, before it is applied')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark put greeting hello
  $ tidemark put session:42 '{"user":7}' --ttl 30m --content-type application/json
  $ tidemark put photo - < photo.jpg
  $ tidemark put lock me --create                    exits with 4 if there is one
  $ tidemark put stock 41 --if-version 17            exits with 4 if it changed since

Prints the row's new version.`,
    )
    .action(async (key: string, value: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & PutOptions>()
      if (options.create === true && options.ifVersion !== undefined) {
        command.error('error: --create and --if-version exclude each other', { exitCode: EXIT.USAGE })
      }
      const ifVersion = options.create === true ? 0 : options.ifVersion
      const bytes = value === '-' ? await buffer(process.stdin) : value
      await withClient(options, async (db, client) => {
        const written = await db.put(parseKey(key, options.keyEncoding), bytes, {
          ...(ifVersion === undefined ? {} : { ifVersion }),
          ...(options.ttl === undefined ? {} : { ttlMs: options.ttl }),
          ...(options.contentType === undefined ? {} : { contentType: options.contentType }),
          ...(options.logged === true ? { durability: 'logged' } : {}),
        })
        await writeWritten(written, client, formatOf(options), String(written.version ?? ''))
      })
    })
}

interface PutOptions {
  readonly ifVersion?: number
  readonly create?: true
  readonly ttl?: number
  readonly contentType?: string
  readonly logged?: true
}

function registerDelete(program: Command): void {
  program
    .command('del')
    .description('delete rows; a row that is not there is fine')
    .argument('<key...>')
    .option('--if-version <version>', 'only if the row has this version', parseWhole)
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark del greeting
  $ tidemark del a b c
  $ tidemark del greeting --if-version 17             exits with 4 if it changed since`,
    )
    .action(async (keys: string[], _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & { ifVersion?: number }>()
      const conditions = options.ifVersion === undefined ? {} : { ifVersion: options.ifVersion }
      const parsed = keys.map((key) => parseKey(key, options.keyEncoding))
      await withClient(options, async (db, client) => {
        const all = await Promise.all(parsed.map((key) => db.delete(key, conditions)))
        for (const written of all) await writeWritten(written, client, formatOf(options), undefined)
      })
    })
}

function registerIncrement(program: Command): void {
  program
    .command('incr')
    .description('add to a row that holds a whole number (signed 64 bit); a missing row counts as 0')
    .argument('<key>')
    .argument('[delta]', 'what to add, also a negative number (default: 1)', parseDelta)
    .option('--if-version <version>', 'only if the row has this version', parseWhole)
    .option('--ttl <duration>', 'the row expires after this', parseDuration)
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark incr visits
  $ tidemark incr visits 10
  $ tidemark incr stock -1

Prints the new number.`,
    )
    .action(async (key: string, delta: bigint | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Globals & { ifVersion?: number; ttl?: number }>()
      await withClient(options, async (db, client) => {
        const written = await db.increment(parseKey(key, options.keyEncoding), delta, {
          ...(options.ifVersion === undefined ? {} : { ifVersion: options.ifVersion }),
          ...(options.ttl === undefined ? {} : { ttlMs: options.ttl }),
        })
        const number = String(written.number)
        await writeWritten(written, client, formatOf(options), number, { number })
      })
    })
}

/** @param plain - the line of `raw`; undefined = none */
async function writeWritten(
  written: Written,
  client: Tidemark,
  format: Format,
  plain: string | undefined,
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { partition, version } = written
  switch (format) {
    case 'raw':
      return plain === undefined ? undefined : writeLine(plain)
    case 'table': {
      const headings = [...Object.keys(more).map((name) => name.toUpperCase()), 'PARTITION', 'VERSION']
      return write(tableText(headings, [[...Object.values(more), String(partition), String(version ?? '-')]]))
    }
    case 'json':
    case 'jsonl':
      return write(jsonText({ ...more, partition, version, token: client.token() }, format))
  }
}
