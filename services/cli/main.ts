#!/usr/bin/env node
/**
 * The `tidemark` command. This file and the verbs import nothing heavy: the client (and gRPC with it) is loaded when a verb
 * talks to a node, the node when `serve` starts one, so that `--help` answers at once.
 *
 * Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 conflict, 5 unavailable, 6 deadline.
 */
import { Command } from 'commander'
import { registerBench } from './bench.ts'
import { registerCluster } from './cluster.ts'
import { registerCut } from './cut.ts'
import { registerExport } from './export.ts'
import { exitCodeOf, lineOf } from './failure.ts'
import { registerHistory } from './history.ts'
import { registerImport } from './import.ts'
import { registerKeyspace } from './keyspace.ts'
import { addGlobalOptions } from './options.ts'
import { quietOnClosedPipe } from './output.ts'
import { registerRows } from './rows.ts'
import { registerScan } from './scan.ts'
import { registerServe } from './serve.ts'
import { registerSnapshot } from './snapshot.ts'
import { registerTxn } from './txn.ts'
import { version } from './version.ts'
import { registerWatch } from './watch.ts'

const program = new Command('tidemark')
  .description('Tidemark: a key-value store whose only truth is a Kafka log')
  .version(version(), '-V, --version')
  .showSuggestionAfterError()
  .exitOverride()
  .configureOutput({
    outputError: (text, print) => {
      print(text.replace(/^error: /, 'tidemark: '))
    },
  })
  .addHelpText(
    'after',
    `
Try it:
  $ tidemark serve                       a node with its log in ./data, on 127.0.0.1:7400
  $ tidemark put greeting hello          in another terminal
  $ tidemark get greeting
  $ tidemark watch --prefix user: &
  $ tidemark import users.jsonl

tidemark <command> --help shows examples of each command.

Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 conflict, 5 unavailable, 6 deadline`,
  )

addGlobalOptions(program)
for (const register of [
  registerServe,
  registerRows,
  registerScan,
  registerWatch,
  registerTxn,
  registerHistory,
  registerCluster,
  registerSnapshot,
  registerKeyspace,
  registerCut,
  registerImport,
  registerExport,
  registerBench,
]) {
  register(program)
}

quietOnClosedPipe()
try {
  const failpoint = process.env['TIDEMARK_FAILPOINT'] ?? ''
  if (failpoint !== '')
    (await import('./failpoints.ts')).armFailpoint(failpoint, process.env['TIDEMARK_DEV'] === '1')
  await program.parseAsync()
} catch (error) {
  const line = lineOf(error)
  if (line !== '') process.stderr.write(`${line}\n`)
  process.exitCode = exitCodeOf(error)
}
