/** The process of a node: settings, signals and the end. `tidemark serve` calls it. */
import { DRAIN_MS } from '../../streams/core/limits.ts'
import { type Config, readConfig } from './config.ts'
import { createLogger, toggleDebug } from './logger.ts'
import { type RunningNode, startNode } from './node-process.ts'

/**
 * Serves until a signal, Drain, a successor or a bug ends the process: SIGTERM and SIGINT drain and exit with 0, a second one exits
 * with 1 at once, as an unexpected exception does; a node that another process with its id has replaced drains and exits with 1.
 * SIGUSR2 switches the log between its level and `debug`. Resolves when the node serves.
 * @throws TidemarkError for what refuses the node
 */
export async function serveNode(config: Config = readConfig()): Promise<RunningNode> {
  const logger = createLogger(config.logLevel, process.stdout, config.logFormat)
  const opening = new AbortController()
  let running: RunningNode | undefined
  let signals = 0

  const fatal = (bug: unknown): void => {
    logger.fatal({ err: bug }, 'a bug: the node cannot trust its memory any more and ends')
    process.exit(1)
  }
  const end = (name: string): void => {
    signals += 1
    if (signals > 1) process.exit(1)
    logger.info(
      `${name}: finishing what was begun, ${DRAIN_MS / 1000} s at most; a second signal ends at once`,
    )
    opening.abort()
    void running?.stop()
  }
  process.on('SIGTERM', () => end('SIGTERM'))
  process.on('SIGINT', () => end('SIGINT'))
  process.on('SIGUSR2', () => {
    const level = toggleDebug(logger, config.logLevel)
    logger[level === 'silent' ? 'debug' : 'info'](`SIGUSR2: the log level is ${level} now`)
  })
  process.on('uncaughtException', fatal)
  process.on('unhandledRejection', fatal)

  try {
    running = await startNode(config, { logger, signal: opening.signal, fatal })
  } catch (caught) {
    if (opening.signal.aborted) process.exit(0)
    throw caught
  }
  void running.stopped.then((why) => process.exit(why === undefined ? 0 : 1))
  if (opening.signal.aborted) void running.stop()
  else if (process.stdout.isTTY) process.stdout.write(`${running.greeting}\n`)
  else logger.info(running.greeting)
  return running
}
