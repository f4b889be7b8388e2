/** bench: how fast this client and that node are together. */
import type { Command } from 'commander'
import { parseDuration, parseWhole, type Globals } from './options.ts'

export function registerBench(program: Command): void {
  program
    .command('bench')
    .description('load a running node and print what it did (writes keys that begin with "bench:")')
    .option('--duration <duration>', 'how long each workload runs', parseDuration, 5000)
    .option('--keys <number>', 'distinct keys', parseWhole, 100_000)
    .option('--value-bytes <bytes>', 'bytes of each value', parseWhole, 100)
    .option('--in-flight <number>', 'operations started at once', parseWhole, 1024)
    .addHelpText(
      'after',
      '\nExamples:\n  $ tidemark bench\n  $ tidemark bench --duration 10s --keys 1000000 -o json',
    )
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<
        Globals & { duration: number; keys: number; valueBytes: number; inFlight: number }
      >()
      const { runBench } = await import('./workload.ts')
      await runBench(options)
    })
}
