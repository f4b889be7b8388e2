/**
 * The rule behind the kill points: every call of the product that changes what outlives the process (files, RocksDB, snapshots),
 * or asks Kafka for something, stands inside of `failpoint('name', …)` of streams/failpoint.ts, and no name stands twice. So a new call
 * without a failpoint fails a check, and the list of kill points is made from the code.
 *
 * Reads of files and of RocksDB are left out: a process that ends there has changed nothing since the call before.
 */
import ts from 'typescript'
import { isTest, type Source } from './source-rules.ts'

/** Of node:fs and node:fs/promises; with and without `Sync` at the end. */
const FILES = new Set(
  (
    'appendFile chmod copyFile cp createWriteStream fdatasync fsync ftruncate link mkdir mkdtemp open opendir ' +
    'rename rm rmdir symlink truncate unlink utimes write writeFile writev'
  ).split(' '),
)
/** Of a file that is open, and of the Store: whatever they are called on, where stores and files are at home. */
const METHODS = new Set(['appendFile', 'datasync', 'drop', 'sync', 'truncate', 'write', 'writeFile'])
const METHODS_AT = /^streams\/(log\/embedded|node|replica|snapshot|store)\/|^services\/cli\/snapshot\.ts$/
/** Of others: the calls of the store are inside of a keyspace that is dropped. */
const OTHER_METHODS = new Set(['keyspace.drop', 'process.stderr.write'])
const ROCKSDB = new Set(['batch_write', 'db_clear', 'db_close', 'db_open'])
/** Requests of kafkajs' brokers, and of the S3 client. */
const BROKER = new Set(['createTopics', 'deleteRecords', 'deleteTopics', 'describeConfigs', 'setOffsets'])
/** Where a request to Kafka is made, it must stand in one: `channel.call(fetchCall(…))`. */
const REQUEST = /^[a-z]\w*Call$/
const REQUESTS_AT = /^streams\/(log|membership)\/kafka\//
/** The transport itself, and the makers of requests. */
const BELOW = /^streams\/log\/kafka\/client\.ts$|protocol\.ts$/
/** Tools of the build; the import and export of the command line, whose files are the user's. */
const ELSEWHERE = /^services\/(node\/docs|cli\/(import|import-source|export))\.ts$/
/** What `failpoint` itself is. */
const GUARD = 'streams/failpoint.ts'
/** Hands on what its callers guard, and the simulator, where nothing outlives the process. */
const WITHIN = /^streams\/(replica\/guarded-store\.ts$|sim\/)/

const NAME = /^[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*$/

interface Found {
  /** Guards, by name; '' where it is no plain text. */
  readonly names: readonly string[]
  /** Calls that should stand in one and do not: `path:line text`. */
  readonly bare: readonly string[]
}

/** @param source - of the product, no test */
function look(source: Source): Found {
  const file = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest, true)
  const names: string[] = []
  const bare: string[] = []
  const files = fileFunctions(file)
  const visit = (node: ts.Node, guardedAbove: boolean): void => {
    let below = guardedAbove
    if (ts.isCallExpression(node)) {
      if (ts.isIdentifier(node.expression) && node.expression.text === 'failpoint') {
        const [name] = node.arguments
        names.push(name !== undefined && ts.isStringLiteral(name) ? name.text : '')
        below = true
      } else if (!guardedAbove && mustBeGuarded(source.path, node, files)) {
        const { line } = file.getLineAndCharacterOfPosition(node.getStart())
        bare.push(`${source.path}:${line + 1} ${node.expression.getText()}`)
      }
    }
    ts.forEachChild(node, (child) => {
      visit(child, below)
    })
  }
  visit(file, false)
  return { names, bare }
}

function mustBeGuarded(path: string, call: ts.CallExpression, files: ReadonlySet<string>): boolean {
  const callee = call.expression
  if (ts.isIdentifier(callee)) {
    if (files.has(callee.text)) return true
    return REQUESTS_AT.test(path) && !BELOW.test(path) && REQUEST.test(callee.text)
  }
  if (!ts.isPropertyAccessExpression(callee)) return false
  const method = callee.name.text
  const on = callee.expression.getText()
  if (on === 'rocksdb') return ROCKSDB.has(method)
  if (on === 'fs') return FILES.has(method.replace(/Sync$/, ''))
  if (path === 'streams/snapshot/s3-store.ts' && method === 'send' && on.endsWith('client')) return true
  if (REQUESTS_AT.test(path) && !BELOW.test(path) && BROKER.has(method)) return true
  return METHODS_AT.test(path) && METHODS.has(method) && !OTHER_METHODS.has(`${on}.${method}`)
}

/** The functions of node:fs that this file imports, under the names that it gives them; those that it promisified too. */
function fileFunctions(file: ts.SourceFile): ReadonlySet<string> {
  const found = new Set<string>()
  for (const statement of file.statements) {
    if (ts.isImportDeclaration(statement)) {
      const from = statement.moduleSpecifier
      const bindings = statement.importClause?.namedBindings
      if (!ts.isStringLiteral(from) || !/^node:fs(\/promises)?$/.test(from.text)) continue
      if (bindings === undefined || !ts.isNamedImports(bindings)) continue
      for (const { name, propertyName } of bindings.elements)
        if (FILES.has((propertyName ?? name).text.replace(/Sync$/, ''))) found.add(name.text)
    }
    if (ts.isVariableStatement(statement))
      for (const { name, initializer } of statement.declarationList.declarations) {
        if (initializer === undefined || !ts.isCallExpression(initializer) || !ts.isIdentifier(name)) continue
        const [promisified] = initializer.arguments
        if (promisified !== undefined && ts.isIdentifier(promisified) && found.has(promisified.text))
          found.add(name.text)
      }
  }
  return found
}

const concerned = (path: string): boolean =>
  /^(streams|services)\/.*\.ts$/.test(path) &&
  !isTest(path) &&
  !ELSEWHERE.test(path) &&
  !WITHIN.test(path) &&
  path !== GUARD

export function failpointFaults(sources: readonly Source[]): readonly string[] {
  const seen = new Map<string, string>()
  return sources
    .filter(({ path }) => concerned(path))
    .flatMap((source) => {
      const { names, bare } = look(source)
      const faults = bare.map((call) => `${call} is not inside of failpoint('…') of ${GUARD}`)
      for (const name of names) {
        const other = seen.get(name)
        if (!NAME.test(name))
          faults.push(`${source.path}: "${name}" is no name of a failpoint, like log.append`)
        else if (other !== undefined)
          faults.push(`${source.path}: the failpoint "${name}" stands in ${other} too`)
        seen.set(name, source.path)
      }
      return faults
    })
}

/** Every kill point of the product, by name. */
export const failpointNames = (sources: readonly Source[]): readonly string[] =>
  sources
    .filter(({ path }) => concerned(path))
    .flatMap((source) => look(source).names)
    .toSorted()
    .flatMap((name) => [`${name}.before`, `${name}.after`])
