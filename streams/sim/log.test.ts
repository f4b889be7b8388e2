import { logContract } from '../log/log.contract.ts'
import { Connection, noFaults } from './connection.ts'
import { SimulatedKafka } from './kafka.ts'
import { openSimulatedLog } from './log.ts'
import { newLife, World } from './world.ts'

/** The world goes on as long as the test does. */
function keepGoing(world: World): () => void {
  let stopped = false
  const go = async (): Promise<void> => {
    while (!stopped) {
      await world.run(() => false)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  void go()
  return () => (stopped = true)
}

const SLOW = { delayMs: [0.1, 3], readRecords: 7 } as const
for (const [name, seed, faults] of [
  ['without faults', 1, {}],
  ['slow', 2, SLOW],
] as const)
  logContract(`simulated, ${name}`, async () => {
    const world = new World({ seed })
    const kafka = new SimulatedKafka(world)
    kafka.faults.replicationMs = seed === 1 ? 0 : 2
    const stop = keepGoing(world)
    const connection = new Connection(world, newLife('n1'), { ...noFaults(), ...faults })
    const log = openSimulatedLog(kafka, connection)
    return {
      log,
      async dispose() {
        await log.close()
        stop()
      },
    }
  })
