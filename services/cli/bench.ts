/** bench: how fast this client and that node are together. */
import { Argument, InvalidArgumentError, type Command } from 'commander'
import { parseDuration, parsePositive, type Globals } from './options.ts'
import { type BenchOptions, WORKLOAD_NAMES, type WorkloadName } from './bench-options.ts'

const HELP = `
Workloads, one after the other; without any: put get many put-one get-one
  load      writes each key once: the rows that the others read
  put       writes rows
  get       reads rows
  mix       --reads per cent of it reads, the rest writes
  many      reads 256 rows in one call
  put-one   writes, one operation at a time: what a single caller waits for
  get-one   reads, likewise

How to read it:
  Without --rate every one of --clients goes on when it has its answer: this finds the most that client and node can do
  together, and its times say how long the queue was, no more. Find the maximum first, then measure times at half of it:
  with --rate operations begin evenly, whatever the answers do, and each is timed from when it was due, so that
  a moment in which the node stood still is seen. Where fewer were done than asked for, --rate is too much.
  CLIENT US is the processor time of this process for one operation: where it times PER SECOND comes to a whole core,
  the generator is the limit: run several, or raise --connections.
  --consistency sets the promise of reads (default: linearizable).

Examples:
  $ tidemark bench
  $ tidemark bench load get --keys 1000000 --duration 30s
  $ tidemark bench mix --reads 95 --zipf 0.99 --clients 256
  $ tidemark bench put --rate 20000 --value-bytes 1024 -o json
  $ tidemark bench get --consistency eventual --connections 4`

export function registerBench(program: Command): void {
  program
    .command('bench')
    .description('load a running node and print what it did (writes keys that begin with "bench:")')
    .addArgument(new Argument('[workload...]', 'what to do').choices(WORKLOAD_NAMES))
    .option('--duration <duration>', 'how long each workload runs', parseDuration, 5000)
    .option('--keys <number>', 'distinct keys', parsePositive, 100_000)
    .option('--value-bytes <bytes>', 'bytes of each value', parsePositive, 100)
    .option('--clients <number>', 'callers, each with one operation on its way', parsePositive, 1024)
    .option('--connections <number>', 'connections to each node', parsePositive, 1)
    .option('--rate <number>', 'operations that begin in a second, whatever the answers do', parsePositive)
    .option('--reads <per cent>', 'how much of mix reads', parsePerCent, 95)
    .option('--zipf <exponent>', 'some keys are asked for often: 0.99 as in YCSB', parseExponent)
    .addHelpText('after', HELP)
    .action(async (names: WorkloadName[], _: unknown, command: Command) => {
      const { runBench } = await import('./bench-run.ts')
      await runBench(names, command.optsWithGlobals<Globals & BenchOptions>())
    })
}

function parsePerCent(text: string): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number > 100)
    throw new InvalidArgumentError('write a whole number from 0 to 100')
  return number
}

function parseExponent(text: string): number {
  const number = Number(text)
  if (!(number > 0 && number < 1))
    throw new InvalidArgumentError('write a number between 0 and 1, such as 0.99')
  return number
}
