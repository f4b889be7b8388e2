import type { Address, Channel, Transport } from './client.ts'

/** One channel for each broker; none after the end. */
export interface Channels {
  of(broker: Address | undefined): Channel | undefined
  close(): void
}

export function createChannels(transport: Transport): Channels {
  const channels = new Map<string, Channel>()
  let closed = false
  return {
    of(broker) {
      if (broker === undefined || closed) return undefined
      const name = `${broker.host}:${broker.port}`
      const channel = channels.get(name) ?? transport.channel(broker)
      channels.set(name, channel)
      return channel
    },
    close() {
      closed = true
      for (const channel of channels.values()) channel.close()
      channels.clear()
    },
  }
}
