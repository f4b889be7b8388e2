import { TidemarkError } from '../../core/errors.ts'
import type { Address } from './client.ts'

/** `host:port`, `[v6]:port`. @throws CONFIG_INVALID */
export function parseAddress(text: string): Address {
  const found = /^(?:\[(?<v6>[^\]]+)\]|(?<host>[^:]+)):(?<port>\d{1,5})$/.exec(text)?.groups
  const host = found?.['v6'] ?? found?.['host']
  if (host === undefined) {
    throw new TidemarkError('CONFIG_INVALID', `The Kafka broker "${text}" is not written as host:port.`)
  }
  return { host, port: Number(found?.['port']) }
}
