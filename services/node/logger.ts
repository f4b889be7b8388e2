/**
 * What a node says: one line for each event that an operator cares about, none for a request. JSON for machines; plain lines
 * where a person looks on, because stdout is a terminal.
 */
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'

export type { Logger } from 'pino'

/** Paths that may never be printed, whoever logs them. */
const SECRETS = [
  'password',
  '*.password',
  'token',
  '*.token',
  'authorization',
  '*.authorization',
  'sasl',
  '*.sasl',
]

export interface Output {
  readonly isTTY?: boolean
  write(line: string): unknown
}

export function createLogger(level: string, output: Output): Logger {
  return pino(
    {
      level,
      base: null,
      redact: SECRETS,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: levelName },
    },
    output.isTTY === true ? plain(output) : { write: (line) => void output.write(line) },
  )
}

const levelName = (label: string): { readonly level: string } => ({ level: label })

/** `12:34:56 warn  the message`, and the stack where a bug is reported. */
const plain = (output: Output): DestinationStream => ({
  write(line) {
    const { time, level, msg, err } = JSON.parse(line) as Line
    const stack = level === 'info' || err?.stack === undefined ? '' : `\n${err.stack}`
    const when = new Date(time).toTimeString().slice(0, 8)
    output.write(`${when} ${level.padEnd(5)} ${msg ?? ''}${stack}\n`)
  },
})

interface Line {
  readonly time: string
  readonly level: string
  readonly msg?: string
  readonly err?: { readonly stack?: string }
}
