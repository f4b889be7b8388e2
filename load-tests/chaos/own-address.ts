/**
 * Loaded into a node before anything else (`node --import`): what it connects to sees it come from an address of its own, out of
 * 127.0.0.0/8, so that the doors of network.ts know who speaks. Linux answers to all of these addresses without being told.
 */
import { Socket } from 'node:net'

const address = process.env['CHAOS_OWN_ADDRESS']
const { connect } = Socket.prototype

function connectFromOwnAddress(this: Socket, ...args: unknown[]): unknown {
  // net.connect() hands on its arguments as one list, whose first element has the options.
  const options: unknown = Array.isArray(args[0]) ? args[0][0] : args[0]
  if (typeof options === 'object' && options !== null && 'port' in options && !('localAddress' in options))
    Object.assign(options, { localAddress: address })
  return Reflect.apply(connect, this, args)
}

if (address !== undefined) Object.assign(Socket.prototype, { connect: connectFromOwnAddress })
