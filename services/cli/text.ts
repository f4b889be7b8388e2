/** Keys and values between bytes and what can be typed and read. */
import { CommandFailure, EXIT } from './failure.ts'

export type KeyEncoding = 'utf8' | 'hex' | 'base64'
export const KEY_ENCODINGS: readonly KeyEncoding[] = ['utf8', 'hex', 'base64']

export function parseKey(text: string, encoding: KeyEncoding): Buffer {
  const wellFormed = {
    utf8: () => true,
    hex: () => /^([0-9a-f]{2})*$/i.test(text),
    base64: () => /^[A-Za-z0-9+/_-]*={0,2}$/.test(text),
  }[encoding]
  if (!wellFormed()) throw new CommandFailure(`the key ${printable(text)} is not ${encoding}`, EXIT.USAGE)
  return Buffer.from(text, encoding)
}

/** The key as it can be given back to `--key-encoding`; a key that is no text is shown with \xNN. */
export function keyText(key: Uint8Array, encoding: KeyEncoding): string {
  if (encoding !== 'utf8') return Buffer.from(key).toString(encoding)
  return textOrUndefined(key) ?? escapedBytes(key)
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text whose UTF-8 these bytes are; undefined where they are none. */
export function textOrUndefined(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes)
  } catch {
    return undefined
  }
}

const escapedBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => {
    if (byte === 0x5c) return '\\\\'
    return byte >= 0x20 && byte < 0x7f
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, '0')}`
  }).join('')

/** For a terminal: nothing in it can move the cursor or change colours. */
export const printable = (text: string): string =>
  // eslint-disable-next-line no-control-regex -- these are what must not reach the terminal
  text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => NAMED[character] ?? hexEscape(character))

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }
const hexEscape = (character: string): string => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`

export const printableBytes = (bytes: Uint8Array): string => {
  const text = textOrUndefined(bytes)
  return text === undefined ? escapedBytes(bytes) : printable(text)
}

/** One cell of a line of tab-separated text: backslash, tab and line ends are escaped, so that a line is a row. */
export const tabCell = (bytes: Uint8Array): string =>
  textOrUndefined(bytes)
    ?.replaceAll('\\', '\\\\')
    .replaceAll('\t', '\\t')
    .replaceAll('\n', '\\n')
    .replaceAll('\r', '\\r') ?? escapedBytes(bytes)

/** `{"key": …}`, or `{"key_base64": …}` where the bytes are no text; import reads both back. */
export function jsonField(name: string, bytes: Uint8Array): Record<string, string> {
  const text = textOrUndefined(bytes)
  if (text !== undefined) return { [name]: text }
  return { [`${name}_base64`]: Buffer.from(bytes).toString('base64') }
}
