/** Messages that are not what a serializer writes, and what all readers do with them. */
import { expect } from 'chai'
import { MALFORMED } from '../bytes.ts'

export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

export function refused(read: () => unknown, what: string): void {
  let caught: unknown
  try {
    read()
  } catch (error) {
    caught = error
  }
  expect(caught, what).to.equal(MALFORMED)
}

/** Every way of writing the fields of a message that is not the one way in which serializers write it. */
export const TAMPERED: Readonly<Record<string, (message: Buffer) => Buffer>> = {
  'an unknown field at the end': (message) => Buffer.concat([message, hex('fa 01 00')]),
  'field number 0': (message) => Buffer.concat([hex('02 00'), message]),
  'a field twice': (message) => Buffer.concat([message.subarray(0, 2), message]),
  'a padded tag': (message) =>
    Buffer.concat([Buffer.from([(message[0] ?? 0) | 0x80, 0]), message.subarray(1)]),
  'a group instead of the field': (message) =>
    Buffer.concat([Buffer.from([((message[0] ?? 0) & 0xf8) | 3]), message.subarray(1)]),
  'a fixed number instead of the field': (message) =>
    Buffer.concat([Buffer.from([((message[0] ?? 0) & 0xf8) | 5]), message.subarray(1)]),
  'a byte too many': (message) => Buffer.concat([message, hex('08')]),
}
