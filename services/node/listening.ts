/** What can go wrong when a port is opened, in words that help. */
import { TidemarkError } from '../../streams/core/errors.ts'
import { type Address, addressText } from './address.ts'

/**
 * @param what - the protocol that would be served there
 * @param setting - the name of the setting that has the address
 */
export function cannotListen(what: string, setting: string, listen: Address, cause: Error): TidemarkError {
  const address = addressText(listen)
  const options = { metadata: { address }, cause }
  const code = 'code' in cause ? String(cause.code) : ''
  if (code === 'EADDRINUSE' || cause.message.includes('EADDRINUSE')) {
    const message = `another process listens on ${address}, where this node would serve ${what}: stop it, or set ${setting}`
    return new TidemarkError('PORT_TAKEN', message, options)
  }
  return new TidemarkError(
    'CONFIG_INVALID',
    `${setting}: cannot listen on ${address}: ${cause.message}`,
    options,
  )
}
