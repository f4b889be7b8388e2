/**
 * JSON schemas for kubeconform, made from the OpenAPI description of Kubernetes and from the definitions of operators, in a cache folder of
 * the user. They are strict: a field that Kubernetes does not know, and would drop without a word, is an error.
 *
 *   <folder>/<version>/<kind>-<group>-<version>.json
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'yaml'
import { z } from 'zod'
import { cacheFolder, withLock } from '../kafka/jars.ts'
import { KUBERNETES, OPERATORS } from '../tools/kubernetes.ts'

const run = promisify(execFile)

/** For kubeconform's -schema-location. */
export const LOCATION = '{{.NormalizedKubernetesVersion}}/{{.ResourceKind}}{{.KindSuffix}}.json'

type Schema = Readonly<Record<string, unknown>>

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null

const swagger = z.object({ definitions: z.record(z.string(), z.record(z.string(), z.unknown())) })
const kinds = z.array(z.object({ group: z.string(), version: z.string(), kind: z.string() }))
const customResource = z.object({
  spec: z.object({
    group: z.string(),
    names: z.object({ kind: z.string() }),
    versions: z.array(
      z.object({
        name: z.string(),
        schema: z.object({ openAPIV3Schema: z.record(z.string(), z.unknown()) }),
      }),
    ),
  }),
})

/** The folder of the schemas. @throws where there is no Go, or a module cannot be had */
export async function kubernetesSchemas(): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([KUBERNETES, OPERATORS]))
  hash.update(await readFile(fileURLToPath(import.meta.url)))
  const folder = join(cacheFolder(), `kubernetes-schemas-${hash.digest('hex').slice(0, 8)}`)
  if (!existsSync(folder)) await withLock(`${folder}.lock`, () => make(folder))
  return folder
}

async function make(folder: string): Promise<void> {
  if (existsSync(folder)) return
  const partial = `${folder}.partial`
  await rm(partial, { recursive: true, force: true })
  const custom = await customSchemas()
  for (const version of Object.values(KUBERNETES)) {
    const files = new Map([...(await builtIn(version)), ...custom])
    await mkdir(join(partial, version), { recursive: true })
    for (const [name, schema] of files) await writeFile(join(partial, version, name), JSON.stringify(schema))
  }
  await rename(partial, folder)
}

/** As kubeconform makes it of apiVersion and kind. */
const fileName = (kind: string, group: string, version: string): string => {
  const [first = ''] = group.split('.')
  return `${[kind, ...(first === '' ? [] : [first]), version].join('-').toLowerCase()}.json`
}

async function builtIn(version: string): Promise<Map<string, Schema>> {
  const text = await readFile(join(await moduleFolder('k8s.io/kubernetes', version), SWAGGER), 'utf8')
  const { definitions } = swagger.parse(JSON.parse(text))
  const files = new Map<string, Schema>()
  for (const [name, definition] of Object.entries(definitions)) {
    const described = kinds.safeParse(definition['x-kubernetes-group-version-kind'])
    // What every API group has (DeleteOptions …) is no object of a chart.
    if (!described.success || described.data.length !== 1) continue
    for (const { group, version: apiVersion, kind } of described.data)
      files.set(fileName(kind, group, apiVersion), standalone(name, definitions))
  }
  return files
}

const SWAGGER = join('api', 'openapi-spec', 'swagger.json')
const REFERENCE = '#/definitions/'

/** One definition with all that it refers to. */
function standalone(name: string, definitions: Readonly<Record<string, Schema>>): Schema {
  const needed = new Map<string, unknown>()
  const visit = (wanted: string): void => {
    if (needed.has(wanted)) return
    needed.set(wanted, undefined)
    needed.set(wanted, wanted.endsWith('.Quantity') ? QUANTITY : strict(definitions[wanted], visit))
  }
  visit(name)
  return { $schema: DRAFT, $ref: REFERENCE + name, definitions: Object.fromEntries(needed) }
}

const DRAFT = 'http://json-schema.org/draft-07/schema#'
const QUANTITY = { type: ['string', 'number'] }
const INT_OR_STRING = { type: ['string', 'integer'] }

/** @param refer - is told of each definition that is referred to */
function strict(node: unknown, refer: (name: string) => void): unknown {
  if (Array.isArray(node)) return node.map((each: unknown) => strict(each, refer))
  if (!isSchema(node)) return node
  const reference = node['$ref']
  if (typeof reference === 'string') refer(reference.slice(REFERENCE.length))
  if (node['format'] === 'int-or-string' || node['x-kubernetes-int-or-string'] === true) return INT_OR_STRING
  const result = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, strict(value, refer)]))
  const closed =
    isSchema(node['properties']) &&
    node['additionalProperties'] === undefined &&
    node['x-kubernetes-preserve-unknown-fields'] !== true
  return closed && node['type'] === 'object' ? { ...result, additionalProperties: false } : result
}

async function customSchemas(): Promise<Map<string, Schema>> {
  const files = new Map<string, Schema>()
  for (const [module, { version, definitions }] of Object.entries(OPERATORS)) {
    const folder = await moduleFolder(module, version)
    for (const path of definitions) {
      const { spec } = customResource.parse(parse(await readFile(join(folder, path), 'utf8')))
      for (const each of spec.versions) {
        const schema = strict(each.schema.openAPIV3Schema, () => undefined)
        if (isSchema(schema)) files.set(fileName(spec.names.kind, spec.group, each.name), schema)
      }
    }
  }
  return files
}

/** Where Go keeps the sources of a module. */
async function moduleFolder(module: string, version: string): Promise<string> {
  const { stdout } = await run('go', ['mod', 'download', '-json', `${module}@${version}`])
  return z.object({ Dir: z.string() }).parse(JSON.parse(stdout)).Dir
}
