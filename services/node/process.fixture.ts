/** A real node in a process of its own, for tests that kill it. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const COMMAND = fileURLToPath(new URL('../cli/main.js', import.meta.url))

export interface NodeProcess {
  readonly address: string
  readonly httpAddress: string
  /** Everything that it wrote so far. */
  output(): string
  readonly process: ChildProcess
  /** Resolves with the exit code once it has ended. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/**
 * Starts `tidemark serve` and resolves when it is ready, or when it has ended by itself.
 * @param enter - a command that runs the one behind it, such as nsenter
 */
export async function startNode(
  settings: Readonly<Record<string, string>>,
  enter: readonly string[] = [],
): Promise<NodeProcess> {
  const address = settings['TIDEMARK_GRPC_LISTEN'] ?? `127.0.0.1:${await freePort()}`
  const httpAddress = settings['TIDEMARK_HTTP_LISTEN'] ?? `127.0.0.1:${await freePort()}`
  const line = [...enter, process.execPath, COMMAND, 'serve']
  const child = spawn(line[0] ?? process.execPath, line.slice(1), {
    env: {
      ...(enter.length === 0 ? {} : { PATH: process.env['PATH'] }),
      ...settings,
      TIDEMARK_GRPC_LISTEN: address,
      TIDEMARK_HTTP_LISTEN: httpAddress,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const ended = once(child, 'exit')
  const node: NodeProcess = {
    address,
    httpAddress,
    output: () => output,
    process: child,
    async end(signal) {
      child.kill(signal)
      await ended
      return child.exitCode
    },
  }
  while (child.exitCode === null && child.signalCode === null) {
    const ready = await fetch(`http://${httpAddress}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (ready) break
    await sleep(20)
  }
  return node
}
