/**
 * The broker that coordinates the group, and two connections to it: one for join, sync and heartbeats, which waits at the broker
 * while the group gathers, and one aside for what must not wait (leaving, putting a dead member out).
 *
 * All brokers are asked who it is, and the most common answer counts: a broker that was cut off from its cluster still answers,
 * and may name itself. They are asked again all the time, because such a broker would go on to take our heartbeats.
 */
import { TidemarkError } from '../../core/errors.ts'
import { COORDINATOR_CHECK_MS, COORDINATOR_WITNESSES_MAX, KAFKA_REQUEST_MS } from '../../core/limits.ts'
import { failpoint } from '../../failpoint.ts'
import { createChannels } from '../../log/kafka/channels.ts'
import { describeCode, type Address, type Channel, type Transport } from '../../log/kafka/client.ts'
import type { ClusterView } from '../../log/kafka/cluster-view.ts'
import type { ApiCall } from '../../log/kafka/protocol.ts'
import type { Clock } from '../../ports.ts'
import { CODE, findCoordinatorCall } from './group-protocol.ts'
import { createTally, type Tally } from './tally.ts'

export interface Coordinator {
  /** @throws LOG_UNAVAILABLE when none is known or it does not answer in time */
  call<T>(call: ApiCall<T>, timeoutMs: number): Promise<T>
  /** The same on the other connection. */
  aside<T>(call: ApiCall<T>): Promise<T>
  /** It is another one now, or is gone: the next call asks who it is. */
  lost(): void
  close(): void
}

interface Found {
  readonly name: string
  readonly main: Channel
  readonly aside: Channel
}

export function createCoordinator(
  transport: Transport,
  view: ClusterView,
  clock: Clock,
  groupId: string,
): Coordinator {
  const witnesses = createChannels(transport)
  let found: Found | undefined
  let searching: Promise<Found> | undefined
  let closed = false

  const drop = (): void => {
    found?.main.close()
    found?.aside.close()
    found = undefined
  }

  const adopt = (address: Address): Found => {
    const name = nameOf(address)
    if (found?.name === name) return found
    drop()
    found = { name, main: transport.channel(address), aside: transport.channel(address) }
    return found
  }

  /** Ends when more than half of the brokers agree, or all have answered or failed. */
  const vote = async (): Promise<Tally<Address>> => {
    const brokers = [...view.brokers.values()].slice(0, COORDINATOR_WITNESSES_MAX)
    const tally = createTally<Address>(brokers.length)
    await new Promise<void>((agreed) => {
      const asked = brokers.map(async (broker) => {
        try {
          const answer = await failpoint('group.find', () =>
            witnesses.of(broker)?.call(findCoordinatorCall(groupId), KAFKA_REQUEST_MS),
          )
          if (answer?.errorCode === CODE.NONE) tally.add(nameOf(answer), answer)
          else if (answer !== undefined) tally.miss(describeCode(answer.errorCode))
        } catch (caught) {
          tally.miss(TidemarkError.from(caught).message)
        }
        if (tally.certain) agreed()
      })
      void Promise.all(asked).then(() => {
        agreed()
      })
    })
    return tally
  }

  const search = async (): Promise<Found> => {
    await view.refresh([])
    const { winner, missed } = await vote()
    if (closed) throw new TidemarkError('LOG_UNAVAILABLE', 'The membership was closed.')
    if (winner !== undefined) return adopt(winner)
    throw new TidemarkError('LOG_UNAVAILABLE', `No broker coordinates the group ${groupId}: ${missed}.`)
  }

  const find = (): Promise<Found> => {
    searching ??= search().finally(() => {
      searching = undefined
    })
    return searching
  }

  const check = async (): Promise<void> => {
    const before = found
    if (before === undefined || searching !== undefined) return
    const { winner, certain } = await vote()
    if (!closed && found === before && certain && winner !== undefined) adopt(winner)
  }
  const stopChecks = clock.every(COORDINATOR_CHECK_MS, () => void check())

  return {
    call: async (call, timeoutMs) => (found ?? (await find())).main.call(call, timeoutMs),
    aside: async (call) => (found ?? (await find())).aside.call(call, KAFKA_REQUEST_MS),
    lost: drop,
    close() {
      closed = true
      stopChecks()
      drop()
      witnesses.close()
    },
  }
}

const nameOf = ({ host, port }: Address): string => `${host}:${port}`
