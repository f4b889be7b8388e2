/**
 * A real receiver of OTLP for tests: that of the OpenTelemetry Collector, which main.go has write down what it gets. Go builds it once, in about
 * a minute, into a cache folder of the user that is named after its sources. (It stands in a module of its own: sharing Helm's would tie the
 * versions of both.)
 */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { cacheFolder, withLock } from '../kafka/jars.ts'
import { freePorts } from '../kafka/ports.ts'
import { PROJECT_ROOT } from '../project-root.ts'

const run = promisify(execFile)

const SOURCES = join(PROJECT_ROOT, 'infra', 'otlp')
/** Milliseconds; two busy cores take two minutes. */
const BUILD_MS_MAX = 10 * 60_000

/** A span as it arrived. */
export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  /** Empty: it is the first of its trace. */
  readonly parentSpanId: string
  readonly name: string
  /** As OTLP counts them: 2 server, 4 producer, 5 consumer. */
  readonly kind: number
  readonly attributes: Readonly<Record<string, string | boolean>>
  /** Span ids. */
  readonly links: readonly string[]
  /** Of the node that sent it. */
  readonly resource: Readonly<Record<string, string | boolean>>
}

export interface OtlpReceiver {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly endpoint: string
  /** All that came so far. */
  readonly spans: readonly ReceivedSpan[]
  /** Resolves with all spans once they are as wished. @throws after `ms`, with what came */
  until(wished: (spans: readonly ReceivedSpan[]) => boolean, ms?: number): Promise<readonly ReceivedSpan[]>
  end(): Promise<void>
}

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: string; readonly boolValue?: boolean }
}

interface Request {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly { readonly spans: readonly SpanMessage[] }[]
  }[]
}

interface SpanMessage {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly attributes?: readonly Attribute[]
  readonly links?: readonly { readonly spanId: string }[]
}

/** @throws where there is no Go, or it cannot build */
export async function startReceiver(): Promise<OtlpReceiver> {
  const [port = 0] = await freePorts(1)
  const address = `127.0.0.1:${port}`
  const child = spawn(await program(), [address], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const spans: ReceivedSpan[] = []
  let heard = (): void => undefined
  const listening = new Promise<void>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      if (line === 'listening') resolve()
      else spans.push(...spansOf(JSON.parse(line) as Request))
      heard()
    })
    ended.then(() => reject(new Error('the receiver has ended')), reject)
  })
  await listening
  return {
    endpoint: `http://${address}`,
    spans,
    until: (wished, ms = 15_000) =>
      new Promise((resolve, reject) => {
        const came = (): string => spans.map(({ name, traceId }) => `${traceId} ${name}`).join('\n')
        const timer = setTimeout(() => reject(new Error(`not in ${ms} ms; what came:\n${came()}`)), ms)
        heard = () => {
          if (!wished(spans)) return
          clearTimeout(timer)
          resolve(spans)
        }
        heard()
      }),
    async end() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

const spansOf = ({ resourceSpans }: Request): ReceivedSpan[] =>
  resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ traceId, spanId, parentSpanId = '', name, kind, attributes = [], links = [] }) => ({
        traceId,
        spanId,
        parentSpanId,
        name,
        kind,
        attributes: valuesOf(attributes),
        links: links.map((link) => link.spanId),
        resource: valuesOf(resource.attributes),
      })),
    ),
  )

const valuesOf = (attributes: readonly Attribute[]): Record<string, string | boolean> =>
  Object.fromEntries(
    attributes.map(({ key, value: { stringValue, intValue, boolValue } }) => [
      key,
      stringValue ?? intValue ?? boolValue ?? '',
    ]),
  )

async function program(): Promise<string> {
  const digest = createHash('sha256')
  for (const name of ['go.mod', 'go.sum', 'main.go']) digest.update(await readFile(join(SOURCES, name)))
  const folder = join(cacheFolder(), `otlp-receiver-${digest.digest('hex').slice(0, 8)}`)
  if (!existsSync(folder)) await withLock(`${folder}.lock`, () => build(folder))
  return join(folder, 'otlp-receiver')
}

async function build(folder: string): Promise<void> {
  // Another starter may have filled it while this one waited for the lock.
  if (existsSync(folder)) return
  const partial = `${folder}.partial`
  await rm(partial, { recursive: true, force: true })
  console.error(`building an OTLP receiver for tests into ${folder} (once, about a minute) …`)
  const options = { cwd: SOURCES, env: { ...process.env, CGO_ENABLED: '0' }, timeout: BUILD_MS_MAX }
  const flags = ['-buildvcs=false', '-mod=readonly', '-trimpath', '-ldflags=-s -w']
  await run('go', ['build', ...flags, '-o', join(partial, 'otlp-receiver'), '.'], options).catch(
    (error: unknown) => {
      const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error)
      throw new Error(`Go could not build infra/otlp: ${said.slice(-2000)}`, { cause: error })
    },
  )
  await rename(partial, folder)
}
