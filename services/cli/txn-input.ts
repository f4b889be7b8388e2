/**
 * A transaction as it is typed. As JSON:
 *
 *   { "if":   [ {"key": K, "version": 7} | {"key": K, "exists": true} | {"key": K, "value": V, "is": "not-equal"} ],
 *     "then": [ {"put": K, "value": V, "ttl_ms": 1000, "content_type": "text/plain"} | {"delete": K}
 *             | {"increment": K, "by": 1} | {"get": K} ],
 *     "else": [ … ] }
 *
 * K is text in --key-encoding. V is text; any other JSON is stored as its text; "value_base64" holds bytes. "is" is one of
 * equal (default), not-equal, greater, less. Or in words, one for each --if, --then, --else:
 *
 *   --if    'K exists'   'K missing'   'K version 7'   'K = V'   'K != V'
 *   --then  'put K V'    'del K'       'incr K 1'      'get K'
 */
import type { Condition, Is, Step, Transaction } from '../client/index.ts'
import { CommandFailure, EXIT } from './failure.ts'
import { parseKey, printable, type KeyEncoding } from './text.ts'

const wrong = (message: string): CommandFailure => new CommandFailure(message, EXIT.USAGE)

export function transactionFromWords(
  words: {
    readonly if?: readonly string[]
    readonly then?: readonly string[]
    readonly else?: readonly string[]
  },
  encoding: KeyEncoding,
): Transaction {
  return {
    if: (words.if ?? []).map((text) => conditionFromWords(text, encoding)),
    then: (words.then ?? []).map((text) => stepFromWords(text, encoding)),
    else: (words.else ?? []).map((text) => stepFromWords(text, encoding)),
  }
}

function conditionFromWords(text: string, encoding: KeyEncoding): Condition {
  const [, name = '', verb = '', rest = ''] =
    /^\s*(\S+)\s+(exists|missing|version|=|!=)(?:\s(.*))?$/s.exec(text) ?? []
  const key = name === '' ? Buffer.alloc(0) : parseKey(name, encoding)
  if ((verb === 'exists' || verb === 'missing') && rest === '') return { key, exists: verb === 'exists' }
  if (verb === 'version' && /^\d+$/.test(rest.trim())) return { key, version: Number(rest) }
  if (verb === '=') return { key, value: rest }
  if (verb === '!=') return { key, value: rest, is: 'not-equal' }
  const forms = "'KEY exists', 'KEY missing', 'KEY version 7', 'KEY = VALUE' or 'KEY != VALUE'"
  throw wrong(`cannot read the condition "${printable(text)}": write ${forms}`)
}

function stepFromWords(text: string, encoding: KeyEncoding): Step {
  const [, verb = '', name = '', rest] = /^\s*(put|del|incr|get)\s+(\S+)(?:\s(.*))?$/s.exec(text) ?? []
  const key = name === '' ? Buffer.alloc(0) : parseKey(name, encoding)
  if (verb === 'put' && rest !== undefined) return { put: key, value: rest }
  if (verb === 'del' && rest === undefined) return { delete: key }
  if (verb === 'get' && rest === undefined) return { get: key }
  if (verb === 'incr' && /^\s*[+-]?\d+\s*$/.test(rest ?? '1'))
    return { increment: key, by: BigInt(rest ?? '1') }
  throw wrong(
    `cannot read the step "${printable(text)}": write 'put KEY VALUE', 'del KEY', 'incr KEY 1' or 'get KEY'`,
  )
}

export function transactionFromJson(text: string, encoding: KeyEncoding): Transaction {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw wrong(`the transaction is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  const fields = objectOf(parsed, 'the transaction')
  onlyFields(fields, ['if', 'then', 'else'], 'the transaction')
  const each = <T>(part: 'if' | 'then' | 'else', read: (fields: Fields, where: string) => T): T[] => {
    const list = fields[part] ?? []
    if (!Array.isArray(list)) throw wrong(`"${part}" is no array`)
    return list.map((item, index) => read(objectOf(item, `${part}[${index}]`), `${part}[${index}]`))
  }
  const step = (item: Fields, where: string): Step => stepFromJson(item, where, encoding)
  return {
    if: each('if', (item, where) => conditionFromJson(item, where, encoding)),
    then: each('then', step),
    else: each('else', step),
  }
}

type Fields = Readonly<Record<string, unknown>>

function conditionFromJson(fields: Fields, where: string, encoding: KeyEncoding): Condition {
  onlyFields(fields, ['key', 'version', 'exists', 'value', 'value_base64', 'is'], where)
  const key = keyOf(fields['key'], `${where}.key`, encoding)
  if (typeof fields['exists'] === 'boolean') return { key, exists: fields['exists'] }
  const is = fields['is'] === undefined ? {} : { is: operatorOf(fields['is'], where) }
  if (typeof fields['version'] === 'number') return { key, version: fields['version'], ...is }
  const value = valueOf(fields, where)
  if (value === undefined) throw wrong(`${where} compares nothing: give it "version", "exists" or "value"`)
  return { key, value, ...is }
}

function stepFromJson(fields: Fields, where: string, encoding: KeyEncoding): Step {
  const verbs = ['put', 'delete', 'increment', 'get'].filter((verb) => verb in fields)
  const [verb] = verbs
  if (verb === undefined || verbs.length > 1) {
    throw wrong(`${where} must have one of "put", "delete", "increment", "get"`)
  }
  const key = keyOf(fields[verb], `${where}.${verb}`, encoding)
  if (verb === 'put') return putFromJson(fields, where, key)
  onlyFields(fields, verb === 'increment' ? [verb, 'by'] : [verb], where)
  if (verb === 'get') return { get: key }
  if (verb === 'delete') return { delete: key }
  const by = fields['by'] ?? 1
  const whole =
    typeof by === 'number' ? Number.isSafeInteger(by) : typeof by === 'string' && /^[+-]?\d+$/.test(by)
  if (!whole) throw wrong(`${where}.by is no whole number (write one past 2^53 as text)`)
  return { increment: key, by: BigInt(by as number | string) }
}

function putFromJson(fields: Fields, where: string, key: Buffer): Step {
  onlyFields(fields, ['put', 'value', 'value_base64', 'ttl_ms', 'content_type'], where)
  const value = valueOf(fields, where)
  if (value === undefined) throw wrong(`${where} has no "value"`)
  const { ttl_ms: ttlMs, content_type: contentType } = fields
  if (ttlMs !== undefined && typeof ttlMs !== 'number') throw wrong(`${where}.ttl_ms is no number`)
  if (contentType !== undefined && typeof contentType !== 'string')
    throw wrong(`${where}.content_type is no text`)
  return {
    put: key,
    value,
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(contentType === undefined ? {} : { contentType }),
  }
}

const OPERATORS: readonly Is[] = ['equal', 'not-equal', 'greater', 'less']
function operatorOf(is: unknown, where: string): Is {
  const found = OPERATORS.find((operator) => operator === is)
  if (found === undefined) throw wrong(`${where}.is must be one of ${OPERATORS.join(', ')}`)
  return found
}

function keyOf(key: unknown, where: string, encoding: KeyEncoding): Buffer {
  if (typeof key !== 'string') throw wrong(`${where} is no text`)
  return parseKey(key, encoding)
}

function valueOf(fields: Fields, where: string): string | Buffer | undefined {
  const { value, value_base64: base64 } = fields
  if (base64 === undefined)
    return value === undefined || typeof value === 'string' ? value : JSON.stringify(value)
  if (typeof base64 !== 'string' || value !== undefined)
    throw wrong(`${where} needs either "value" or "value_base64" as text`)
  return parseKey(base64, 'base64')
}

function objectOf(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(`${where} is no JSON object`)
  return value as Fields
}

/** A misspelt field must not be taken for one that is not there. */
function onlyFields(fields: Fields, known: readonly string[], where: string): void {
  const strange = Object.keys(fields).find((field) => !known.includes(field))
  if (strange !== undefined)
    throw wrong(`${where} has no field "${strange}": it may have ${known.join(', ')}`)
}
