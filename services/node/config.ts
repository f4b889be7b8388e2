/**
 * The configuration of a node: read from the environment once, at start, and wrong as a whole or right as a whole: one error
 * lists all that is wrong. Each setting may also come from a file whose path stands in `<name>_FILE`, as secrets are mounted.
 */
import { readFileSync } from 'node:fs'
import type { z } from 'zod'
import { TidemarkError } from '../../streams/core/errors.ts'
import type { Address } from './address.ts'
import { kafkaSecurityProblems } from './kafka-security.ts'
import { nearest } from './nearest.ts'
import type { Setting } from './setting.ts'
import { OTHER_NAMES, SETTINGS } from './settings.ts'

export type Environment = Readonly<Record<string, string | undefined>>

type Table = Readonly<Record<string, Setting<unknown>>>
/** Values by the names of the table; undefined only where a setting has no default. */
type Values<Settings extends Table> = {
  readonly [Name in keyof Settings]: Settings[Name] extends Setting<infer Value, infer Standard>
    ? Value | (Standard extends undefined ? undefined : never)
    : never
}

export type Config = Values<typeof SETTINGS>

const PREFIX = 'TIDEMARK_'
const FILE = '_FILE'
/** Kubernetes tells each container of each Service: TIDEMARK_SERVICE_HOST, TIDEMARK_PORT_7400_TCP_ADDR … of one called tidemark. */
const OF_KUBERNETES =
  /(_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/

/** @throws CONFIG_INVALID with everything that is wrong */
export function readConfig(env: Environment = process.env): Config {
  const problems: string[] = []
  const config = readSettings(SETTINGS, env, problems)
  if (config.log === 'kafka' && config.kafkaBrokers.length === 0 && problems.length === 0) {
    problems.push(
      'TIDEMARK_KAFKA_BROKERS: must name a broker, such as localhost:9092, with TIDEMARK_LOG=kafka',
    )
  }
  if (config.log === 'kafka' && config.grpcAdvertise === undefined && isEverywhere(config.grpcListen)) {
    problems.push(
      'TIDEMARK_GRPC_ADVERTISE: must be set where TIDEMARK_GRPC_LISTEN is all addresses: others cannot reach that',
    )
  }
  // Where one of them is wrong by itself, what it means to the others cannot be told.
  if (!problems.some((problem) => problem.startsWith('TIDEMARK_KAFKA_')))
    problems.push(...kafkaSecurityProblems(config))
  problems.push(...unknownNames(env))
  if (problems.length === 0) return config
  throw new TidemarkError('CONFIG_INVALID', `the settings are wrong:\n  ${problems.join(';\n  ')}`, {
    metadata: { problems: String(problems.length) },
  })
}

/** Undefined where it is wrong. */
const isEverywhere = (listen: Address | undefined): boolean =>
  listen !== undefined && /^[0:.]+$/.test(listen.host)

/** What a table says, of an environment; appends what is wrong to `problems`, where the result must not be used. */
export function readSettings<Settings extends Table>(
  table: Settings,
  env: Environment,
  problems: string[],
): Values<Settings> {
  const values = Object.entries(table).map(([key, setting]) => [key, readSetting(setting, env, problems)])
  return Object.fromEntries(values) as Values<Settings>
}

function readSetting(setting: Setting<unknown>, env: Environment, problems: string[]): unknown {
  const text = textOf(setting, env, problems) ?? setting.standard
  if (text === undefined) return undefined
  const parsed = setting.schema.safeParse(text)
  if (parsed.success) return parsed.data
  const shown = setting.secret === true || text === '' ? '' : ` (it is ${JSON.stringify(text)})`
  problems.push(
    `${setting.name}: ${parsed.error.issues.map((issue: z.core.$ZodIssue) => issue.message).join(', ')}${shown}`,
  )
  return undefined
}

/** An empty variable counts as unset, as orchestrators leave them. */
function textOf(setting: Setting<unknown>, env: Environment, problems: string[]): string | undefined {
  const { name } = setting
  const direct = env[name] === '' ? undefined : env[name]
  const path = env[name + FILE] === '' ? undefined : env[name + FILE]
  if (path === undefined) return direct
  if (direct !== undefined) {
    problems.push(`${name}: is set twice, here and by ${name}${FILE}`)
    return undefined
  }
  try {
    return readFileSync(path, 'utf8').trimEnd()
  } catch (caught) {
    const cause = caught instanceof Error ? caught.message : String(caught)
    problems.push(`${name}${FILE}: cannot read the file: ${cause}`)
    return undefined
  }
}

function unknownNames(env: Environment): string[] {
  const known = Object.values(SETTINGS).map(({ name }) => name)
  const names = new Set<string>([...known, ...known.map((name) => name + FILE), ...OTHER_NAMES])
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && !names.has(name) && !OF_KUBERNETES.test(name))
    .map((name) => {
      const close = nearest(
        name.slice(PREFIX.length),
        [...names].filter((known) => known.startsWith(PREFIX)).map((known) => known.slice(PREFIX.length)),
      )
      return `${name}: there is no such setting${close === undefined ? '' : `, did you mean ${PREFIX}${close}?`}`
    })
}

/** The values for people: what is secret is hidden. */
export function shownSettings<Settings extends Table>(
  table: Settings,
  values: Values<Settings>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(table)
      .filter(([key]) => values[key] !== undefined)
      .map(([key, setting]) => [key, setting.secret === true ? '(hidden)' : values[key]]),
  )
}
