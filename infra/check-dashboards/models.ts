/** Holds the files for Datadog against the models of its own API client, which knows each field; what it does not know is a fault. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT_ROOT } from '../project-root.ts'
import type { Models } from './programs.ts'

const FOLDER = join(PROJECT_ROOT, 'infra', 'datadog')

/** @returns one sentence for each fault */
export function datadogFaults({ ObjectSerializer }: Models): readonly string[] {
  const faults: string[] = []
  const check = (path: string, body: unknown, type: string): void => {
    try {
      const parsed = ObjectSerializer.deserialize(body, type, '')
      for (const place of unknownPlaces(parsed, ''))
        faults.push(`${path}: Datadog does not know ${place === '' ? 'it' : place}`)
    } catch (caught) {
      faults.push(`${path}: ${caught instanceof Error ? caught.message : String(caught)}`)
    }
  }
  for (const { path, body } of jsonIn('dashboards')) check(path, body, 'Dashboard')
  for (const { path, body } of jsonIn('monitors'))
    check(path, (body as { definition: unknown }).definition, 'Monitor')
  for (const { path, body } of jsonIn('slos')) check(path, body, 'ServiceLevelObjectiveRequest')
  return faults
}

function jsonIn(folder: string): readonly { path: string; body: unknown }[] {
  return readdirSync(join(FOLDER, folder)).map((name) => {
    const path = join('infra', 'datadog', folder, name)
    return { path, body: JSON.parse(readFileSync(join(PROJECT_ROOT, path), 'utf8')) as unknown }
  })
}

/** Where the client found a value that none of its models takes, or a field that the model has not. */
function* unknownPlaces(value: unknown, place: string): Generator<string> {
  if (value === null || typeof value !== 'object') return
  if ('_unparsed' in value && value._unparsed === true) yield place
  for (const [name, inner] of Object.entries(value)) {
    if (name === 'additionalProperties' && Object.keys((inner ?? {}) as object).length > 0)
      yield `${place}/${Object.keys(inner as object).join()}`
    yield* unknownPlaces(inner, `${place}/${name}`)
  }
}
