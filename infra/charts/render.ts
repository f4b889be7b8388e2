/** Charts rendered by Helm, read as objects. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { goTool } from '../tools/go-tools.ts'
import { CHART } from './generated.ts'

const run = promisify(execFile)

export type Values = Readonly<Record<string, unknown>>

const environment = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.unknown().optional(),
})
const container = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()).default([]),
  env: z.array(environment).default([]),
  securityContext: z.unknown().optional(),
})
export const podSpec = z.looseObject({
  initContainers: z.array(container).default([]),
  containers: z.array(container),
  volumes: z.array(z.looseObject({ name: z.string() })).default([]),
  securityContext: z.unknown(),
  automountServiceAccountToken: z.boolean().optional(),
})
const object = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
})

export type KubernetesObject = z.infer<typeof object>
export type PodSpec = z.infer<typeof podSpec>

/** Runs Helm on the chart with these values. */
export async function helm(command: 'template' | 'lint', values: Values): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-values-'))
  const file = join(folder, 'values.json')
  try {
    await writeFile(file, JSON.stringify(values))
    const args =
      command === 'lint' ? ['lint', '--strict', CHART] : ['template', 'sea', CHART, '--namespace', 'shore']
    const { stdout } = await run(await goTool('helm'), [...args, '--values', file], { maxBuffer: 2 ** 26 })
    return stdout
  } finally {
    await rm(folder, { recursive: true })
  }
}

export const objectsOf = (yaml: string): readonly KubernetesObject[] =>
  parseAllDocuments(yaml)
    .map((document) => document.toJS() as unknown)
    .filter((each) => each !== null)
    .map((each) => object.parse(each))

export const render = async (values: Values): Promise<readonly KubernetesObject[]> =>
  objectsOf(await helm('template', values))

/** The pods that an object makes, each by the object's kind and name. */
export function podsOf(
  objects: readonly KubernetesObject[],
): readonly (readonly [name: string, pod: PodSpec])[] {
  const template = z.object({ template: z.object({ spec: podSpec }) })
  return objects.flatMap((each): (readonly [string, PodSpec])[] => {
    const name = `${each.kind} ${each.metadata.name}`
    const spec = each['spec']
    switch (each.kind) {
      case 'Pod':
        return [[name, podSpec.parse(spec)]]
      case 'StatefulSet':
      case 'Job':
        return [[name, template.parse(spec).template.spec]]
      case 'CronJob':
        return [
          [
            name,
            z.object({ jobTemplate: z.object({ spec: template }) }).parse(spec).jobTemplate.spec.template
              .spec,
          ],
        ]
      default:
        return []
    }
  })
}

/** The environment of a node: of its ConfigMap and its own. What Kubernetes would fill in is empty. */
export function variables(objects: readonly KubernetesObject[]): Readonly<Record<string, string>> {
  const [node] = podsOf(objects.filter(({ kind }) => kind === 'StatefulSet'))
  const settings = objects
    .filter(({ kind }) => kind === 'ConfigMap')
    .map(({ data }) => z.record(z.string(), z.string()).safeParse(data).data)
    .find((data) => data !== undefined && 'TIDEMARK_LOG' in data)
  const own = node?.[1].containers[0]?.env ?? []
  return {
    ...settings,
    ...Object.fromEntries(own.map(({ name, value }): [string, string] => [name, value ?? ''])),
  }
}
