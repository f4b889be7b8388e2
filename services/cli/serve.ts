/** serve: a node, in this process. */
import type { Command } from 'commander'

export function registerServe(program: Command): void {
  program
    .command('serve')
    .description('run a node (its settings come from the environment)')
    .addHelpText(
      'after',
      `
Examples:
  $ tidemark serve                                                 everything in ./data, no Kafka needed
  $ TIDEMARK_LOG=kafka TIDEMARK_KAFKA_BROKERS=localhost:9092 tidemark serve
  $ TIDEMARK_GRPC_LISTEN=0.0.0.0:7400 TIDEMARK_DATA_DIR=/var/lib/tidemark tidemark serve

Ctrl-C or SIGTERM finishes what was begun, then ends.`,
    )
    .action(async () => {
      const { serveNode } = await import('../node/main.ts')
      await serveNode()
    })
}
