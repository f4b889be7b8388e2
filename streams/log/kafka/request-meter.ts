/** Counts the requests and connections of the Kafka client, by the name of the request in Kafka's protocol: a dozen of them. */
import { type Meters, newMeters, record, seconds } from '../../meters.ts'

export interface RequestMeter {
  opened(): void
  closed(): void
  /** Counts it until it settles. */
  request<T>(api: string, work: Promise<T>): Promise<T>
}

export function requestMeter(
  { counts, tallies, levels, taggedDurations }: Meters = newMeters(),
): RequestMeter {
  return {
    opened() {
      counts['kafka.connections.opened'] += 1
    },
    closed() {
      counts['kafka.connections.closed'] += 1
    },
    async request(api, work) {
      const began = seconds()
      levels['kafka.requests.in_flight'] += 1
      tallies['kafka.request.errors'].add(api, 0)
      try {
        return await work
      } catch (caught) {
        tallies['kafka.request.errors'].add(api)
        throw caught
      } finally {
        levels['kafka.requests.in_flight'] -= 1
        record(taggedDurations['kafka.request.duration'].of(api), seconds() - began)
      }
    },
  }
}
