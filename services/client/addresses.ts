/** The addresses that a client begins with, as callers write them: one, several by comma, or a list. */
import { TidemarkError } from '../../streams/core/errors.ts'
import { CLIENT_NODES_MAX } from '../../streams/core/limits.ts'

const DEFAULT_SERVER = '127.0.0.1:7400'

/** In the order given, each once. @throws FIELD_INVALID */
export function parseAddresses(server: string | readonly string[] = DEFAULT_SERVER): readonly string[] {
  const list = typeof server === 'string' ? [server] : server
  const addresses = [...new Set(list.flatMap((text) => text.split(',').map((part) => part.trim())))]
  if (addresses.length === 0 || addresses.includes('')) {
    throw invalid(`server is "${list.join(',')}": it must be host:port, several by comma`)
  }
  if (addresses.length > CLIENT_NODES_MAX) {
    throw invalid(
      `server names ${addresses.length} nodes, the limit is ${CLIENT_NODES_MAX}: a few are enough`,
    )
  }
  return addresses
}

const invalid = (message: string): TidemarkError =>
  new TidemarkError('FIELD_INVALID', message, { metadata: { field: 'server' } })
