/**
 * Our tidy: what must hold for whole files and folders of sources, as functions from sources to problems. source.test.ts
 * runs them over the tree and plants a bad source for each. ESLint has the rules inside a file.
 */
import { posix } from 'node:path'
import ts from 'typescript'

export interface Source {
  /** From the root of the project, with slashes. */
  readonly path: string
  readonly text: string
}

/** One sentence for each fault, beginning with the path. */
export type Rule = (source: Source) => readonly string[]

export const FILE_LINES_MAX = 400
/** A list of cases is read one by one; so is the list of all bounds, which stands in one file. */
export const TEST_LINES_MAX = 600
const BOUNDS = 'streams/core/limits.ts'
/** Past this a file is listed: time to look for the two concepts in it. */
export const FILE_LINES_LONG = 300
/** Of code, where strings count as empty: prettier does not break them. */
const CODE_COLUMNS_MAX = 120
const COMMENT_COLUMNS_MAX = 150

/** Tests, contract suites, fakes and what tests start as processes: no part of the product. */
export const isTest = (path: string): boolean =>
  /\.(test|contract|fake|fixture|child)\.|\/testing\//.test(path)

const inProduct = (path: string): boolean => /^(streams|services)\//.test(path) && !isTest(path)

/** What a source imports, types and re-exports included, as written. */
const imports = (source: Source): string[] =>
  ts.preProcessFile(source.text, true, true).importedFiles.map(({ fileName }) => fileName)

/** The path of a source of ours; undefined for libraries. */
const resolved = (from: Source, imported: string): string | undefined =>
  imported.startsWith('.') ? posix.join(posix.dirname(from.path), imported) : undefined

const libraryName = (imported: string): string =>
  imported
    .split('/')
    .slice(0, imported.startsWith('@') ? 2 : 1)
    .join('/')

// ---- who may import what ----------------------------------------------------------------------------------------

/** Lower may not import higher. The others (infra, load-tests) may import all three, and only tests import them. */
const LAYERS = ['proto', 'streams', 'services']

export const importDirection: Rule = (source) => {
  const layer = LAYERS.indexOf(source.path.split('/')[0] ?? '')
  if (layer < 0) return []
  return imports(source).flatMap((imported) => {
    const target = resolved(source, imported)
    if (target === undefined) return []
    const [folder = ''] = target.split('/')
    const above = LAYERS.indexOf(folder)
    const allowed = above < 0 ? isTest(source.path) : above <= layer
    return allowed
      ? []
      : [`${source.path} imports ${target}: imports go services → streams → proto, never back`]
  })
}

const CORE_MODULES = ['node:crypto', 'node:zlib', 'node:buffer']

export const pureCore: Rule = (source) => {
  if (!source.path.startsWith('streams/core/') || isTest(source.path)) return []
  return imports(source).flatMap((imported) => {
    const target = resolved(source, imported)
    const allowed =
      target === undefined
        ? CORE_MODULES.includes(imported)
        : /^(streams\/core|proto\/generated)\//.test(target)
    return allowed
      ? []
      : [`${source.path} imports ${imported}: the core knows its own folder and ${CORE_MODULES.join(', ')}`]
  })
}

/** Where each outside library may be imported in the product. A library that is not here needs a place first. */
const PLACES: Readonly<Record<string, RegExp>> = {
  kafkajs: /^streams\/(log|membership)\/kafka\//,
  '@node-rs/crc32': /^streams\/(log|store|snapshot)\//,
  '@aws-sdk/client-s3': /^streams\/snapshot\/s3-store\.ts$/,
  fzstd: /^streams\/log\/kafka\//,
  snappyjs: /^streams\/log\/kafka\//,
  '@nxtedition/rocksdb': /^streams\/(store\/rocksdb[^/]*\.ts$|log\/embedded\/)/,
  rxjs: /^(streams\/(?!core\/)|services\/)/,
  '@grpc/grpc-js': /^services\//,
  '@grpc/proto-loader': /^services\//,
  '@grpc/reflection': /^services\//,
  'grpc-health-check': /^services\//,
  '@bufbuild/protobuf': /^(services\/|proto\/generated\/)/,
  '@opentelemetry/api': /^services\/node\/tracing\//,
  '@opentelemetry/exporter-trace-otlp-proto': /^services\/node\/tracing\/exporter\.ts$/,
  '@opentelemetry/resources': /^services\/node\/tracing\/exporter\.ts$/,
  '@opentelemetry/sdk-trace': /^services\/node\/tracing\/exporter\.ts$/,
  'hot-shots': /^services\/node\//,
  'prom-client': /^services\/node\//,
  pino: /^services\//,
  '@elastic/ecs-pino-format': /^services\/node\/logger\.ts$/,
  zod: /^(services\/|streams\/snapshot\/manifest\.ts$)/,
  commander: /^services\/cli\//,
  'csv-parse': /^services\/cli\//,
}

export const libraryPlaces: Rule = (source) => {
  if (!inProduct(source.path)) return []
  return imports(source).flatMap((imported) => {
    if (imported.startsWith('.') || imported.startsWith('node:')) return []
    const place = PLACES[libraryName(imported)]
    if (place === undefined)
      return [`${source.path} imports ${imported}, which has no place in infra/source-rules.ts yet`]
    return place.test(source.path) ? [] : [`${source.path} imports ${imported}: its place is ${place.source}`]
  })
}

/** Who may ask what date it is. All else measures by `elapsed()` of the clock, which nobody sets (streams/deadline.ts). */
const DATES =
  /^streams\/(deadline|system|sim\/.*|log\/kafka\/append-lane|log\/embedded\/.*|snapshot\/directory-store)\.ts$/
const DATE = /[cC]lock\.now\(\)|\bDate\.now\b/

export const noDates: Rule = (source) => {
  if (!source.path.startsWith('streams/') || isTest(source.path) || DATES.test(source.path)) return []
  return source.text.split('\n').flatMap((line, index) => {
    if (COMMENT.test(line) || !DATE.test(line)) return []
    return [`${source.path}:${index + 1} asks for the date: a clock that is set would move it; use elapsed()`]
  })
}

// ---- inside a file ----------------------------------------------------------------------------------------------

// One letter of each in a class of its own, so that this file does not find itself.
const LEFT_OVER = [
  /\b(T[O]DO|F[I]XME|X[X]X)\b/,
  // A test may skip itself for a reason that it finds when it runs, never by name.
  /\b(describe|it|specify|suite|test)\.(o[n]ly|s[k]ip)\(/,
  /\bx(d[e]scribe|c[o]ntext|i[t])\(/,
]

export const noLeftovers: Rule = (source) =>
  source.text.split('\n').flatMap((line, index) =>
    LEFT_OVER.flatMap((pattern) => {
      const found = pattern.exec(line)
      return found === null ? [] : [`${source.path}:${index + 1} holds ${found[0]}`]
    }),
  )

const STRINGS = /'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*"|\/(?:[^/\\ ]|\\.)+\//g
const COMMENT = /^\s*(\/\/|\/?\*|#|--)/

export const lineLength: Rule = (source) => {
  // A table of one row to a line.
  if (source.path === 'streams/core/catalogue.ts') return []
  return source.text.split('\n').flatMap((line, index) => {
    const comment = COMMENT.test(line)
    const columns = comment ? line.length : line.replace(STRINGS, '').length
    const max = comment ? COMMENT_COLUMNS_MAX : CODE_COLUMNS_MAX
    // A string that runs over several lines cannot be told from code here.
    if (columns <= max || /^[^'`"]*[`]|[`][^'`"]*$/.test(line)) return []
    return [`${source.path}:${index + 1} has ${columns} columns; at most ${max}`]
  })
}

export const fileLength: Rule = (source) => {
  const lines = lineCount(source)
  const max = isTest(source.path) || source.path === BOUNDS ? TEST_LINES_MAX : FILE_LINES_MAX
  return lines <= max ? [] : [`${source.path} has ${lines} lines; at most ${max}`]
}

export const lineCount = (source: Source): number => source.text.split('\n').length - 1

// ---- names and shapes of files ----------------------------------------------------------------------------------

const PUBLIC_INDEX = 'services/client/index.ts'

export const noBarrels: Rule = (source) => {
  if (source.path === PUBLIC_INDEX || source.path.endsWith('.d.ts')) return []
  if (posix.basename(source.path) === 'index.ts') return [`${source.path}: only ${PUBLIC_INDEX} is an index`]
  const { statements } = parse(source)
  const forwards = statements.filter(
    (statement) => ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined,
  )
  const barrel = statements.length > 0 && forwards.length === statements.length
  return barrel ? [`${source.path} only passes on what others export: import it from them`] : []
}

const VAGUE = /(^|-)(utils?|helpers?|commons?|misc|stuff|shared)(-|\.)/

export const tellingNames: Rule = (source) => {
  const name = posix.basename(source.path)
  if (VAGUE.test(name)) return [`${source.path}: the name says nothing; name the concept`]
  return /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+)*$/.test(name) ? [] : [`${source.path}: not in kebab-case`]
}

const parse = (source: Source): ts.SourceFile =>
  ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest, false)

// ---- tests ------------------------------------------------------------------------------------------------------

/**
 * The sources of the product with code in them that no test reaches: none stands beside them, none imports them, and what the
 * tests import reaches them neither inside its own folder, where a file is a private part of what is tested.
 */
export function untested(sources: readonly Source[]): string[] {
  const targets = new Map(
    sources.map((source) => [source.path, imports(source).flatMap((name) => resolved(source, name) ?? [])]),
  )
  const tested = new Set<string>()
  const reach = (path: string): void => {
    if (tested.has(path)) return
    tested.add(path)
    for (const target of targets.get(path) ?? []) {
      if (posix.dirname(target) === posix.dirname(path)) reach(target)
    }
  }
  for (const test of sources.filter(({ path }) => isTest(path))) {
    reach(test.path.replace(/\.(kafka\.)?test\.ts$/, '.ts'))
    for (const target of targets.get(test.path) ?? []) reach(target)
  }
  return sources
    .filter((source) => inProduct(source.path) && !tested.has(source.path) && hasCode(source))
    .map(({ path }) => path)
}

/** False for files of types only: nothing of them is left to run. */
function hasCode(source: Source): boolean {
  if (source.path.endsWith('.d.ts')) return false
  const { outputText } = ts.transpileModule(source.text, {
    compilerOptions: {
      target: ts.ScriptTarget.ESNext,
      module: ts.ModuleKind.ESNext,
      removeComments: true,
      verbatimModuleSyntax: true,
    },
  })
  return outputText.replace(/export \{\};?|import [^;]*;/g, '').trim() !== ''
}
