/** Addresses to listen on and to be reached at: `host:port`, `[::1]:port`. */
import { isIPv6 } from 'node:net'

export interface Address {
  readonly host: string
  readonly port: number
}

export const addressText = ({ host, port }: Address): string =>
  isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`

/** @returns undefined where the text is no address */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  return host === undefined || port > 65_535 || (match?.[1] !== undefined && !isIPv6(host))
    ? undefined
    : { host, port }
}
