/** txn: compare, then one of two branches, atomically. */
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import type { Transacted, Transaction } from '../client/index.ts'
import { CommandFailure, EXIT } from './failure.ts'
import { withClient, type Globals } from './options.ts'
import { formatOf, jsonText, write } from './output.ts'
import { rowJson, rowsTable } from './row-text.ts'
import { tabCell } from './text.ts'
import { transactionFromJson, transactionFromWords } from './txn-input.ts'

interface Options extends Globals {
  readonly if?: readonly string[]
  readonly then?: readonly string[]
  readonly else?: readonly string[]
  readonly file?: string
}

const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value]

export function registerTxn(program: Command): void {
  program
    .command('txn')
    .description('compare, then one of two branches, atomically, over keys of one partition')
    .argument('[json]', 'the transaction; - reads it from standard input')
    .option('-f, --file <path>', 'read the JSON from a file')
    .option(
      '--if <condition>',
      "'KEY exists', 'KEY missing', 'KEY version 7', 'KEY = VALUE', 'KEY != VALUE'",
      collect,
    )
    .option('--then <step>', "'put KEY VALUE', 'del KEY', 'incr KEY 1', 'get KEY'", collect)
    .option('--else <step>', 'as --then, for when a condition does not hold', collect)
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark txn --if 'lock missing' --then 'put lock me'
  $ tidemark txn --if 'stock = 1' --then 'incr stock -1' --then 'put last me' --else 'get stock'
  $ tidemark txn '{"if":[{"key":"a","version":7}],"then":[{"put":"a","value":"1"}],"else":[{"get":"a"}]}'
  $ tidemark txn -f transfer.json -o json

JSON:
  "if"             {"key", "version"} or {"key", "exists"} or {"key", "value"}; with "is": equal, not-equal, greater, less
  "then", "else"   {"put", "value", "ttl_ms"?, "content_type"?}, {"delete"}, {"increment", "by"}, {"get"}
  "value_base64" instead of "value" holds bytes; a value that is no text is stored as its JSON.

All keys must live in one partition: use a keyspace made with --partition-by-prefix for several.
Exits with 4 when a condition does not hold and there is no else branch.`,
    )
    .action(async (json: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>()
      const transaction = await transactionOf(json, options)
      const { result, token } = await withClient(options, async (db, client) => ({
        result: await db.transact(transaction),
        token: client.token(),
      }))
      await writeResult(result, options, token)
      if (!result.succeeded && (transaction.else ?? []).length === 0) process.exitCode = EXIT.CONFLICT
    })
}

async function transactionOf(json: string | undefined, options: Options): Promise<Transaction> {
  const { if: conditions, then: thenSteps, else: elseSteps, file, keyEncoding } = options
  const words = conditions !== undefined || thenSteps !== undefined || elseSteps !== undefined
  if ([json !== undefined, file !== undefined, words].filter(Boolean).length !== 1) {
    throw new CommandFailure(
      'give the transaction as JSON, or by --file, or by --if, --then and --else',
      EXIT.USAGE,
    )
  }
  if (words) return transactionFromWords(options, keyEncoding)
  if (file !== undefined) return transactionFromJson(await readFile(file, 'utf8'), keyEncoding)
  return transactionFromJson(
    json === '-' || json === undefined ? await text(process.stdin) : json,
    keyEncoding,
  )
}

async function writeResult(
  { succeeded, rows, partition }: Transacted,
  globals: Globals,
  token: string,
): Promise<void> {
  const format = formatOf(globals)
  if (format === 'json' || format === 'jsonl') {
    const results = rows.map((row) => (row === undefined ? null : rowJson(row)))
    return write(jsonText({ succeeded, results, partition, token }, format))
  }
  const branch = succeeded ? 'then' : 'else'
  const found = rows.filter((row) => row !== undefined)
  if (format === 'raw') {
    return write(`${branch}\n${found.map((row) => `${tabCell(row.key)}\t${tabCell(row.value)}\n`).join('')}`)
  }
  await write(`${branch}\n`)
  if (found.length > 0) await write(rowsTable(found, globals.keyEncoding))
}
