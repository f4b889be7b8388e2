import type { Channel, Transport } from './client.ts'
import type { BrokerAddress } from './protocol.ts'

/** One channel for each broker. */
export interface Channels {
  of(broker: BrokerAddress | undefined): Channel | undefined
  close(): void
}

export function createChannels(transport: Transport): Channels {
  const channels = new Map<string, Channel>()
  return {
    of(broker) {
      if (broker === undefined) return undefined
      const name = `${broker.host}:${broker.port}`
      const channel = channels.get(name) ?? transport.channel(broker)
      channels.set(name, channel)
      return channel
    },
    close() {
      for (const channel of channels.values()) channel.close()
      channels.clear()
    },
  }
}
