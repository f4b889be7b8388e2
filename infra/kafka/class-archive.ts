/**
 * A class data archive for the jars (beside them): the JVM maps it instead of loading and checking 8,000 classes,
 * which halves the time until a broker is up. It is written once, by a broker that starts, stops and is thrown away; without it, or
 * with an archive of another Java, everything works, only slower.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { broker, prepareBroker } from './broker.ts'
import type { BrokerPlan } from './broker.ts'
import { withLock } from './jars.ts'
import type { KafkaJars } from './jars.ts'
import { freePorts } from './ports.ts'
import { brokerSettings } from './properties.ts'
import { guard, unguard } from './watchdog.ts'

/** Never fails: what hinders a broker here hinders the one that is wanted too, and is told there. */
export async function ensureClassArchive(jars: KafkaJars): Promise<void> {
  if (existsSync(jars.classArchive)) return
  await withLock(`${jars.classArchive}.lock`, async () => {
    if (!existsSync(jars.classArchive)) await write(jars)
  }).catch(() => undefined)
}

async function write(jars: KafkaJars): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-kafka-'))
  guard('dir', folder)
  const partial = `${jars.classArchive}.partial`
  const [port = 0, controllerPort = 0] = await freePorts(2)
  const address = { id: 1, port, controllerPort }
  const plan: BrokerPlan = {
    ...address,
    folder,
    settings: brokerSettings(address, [address], join(folder, 'log')),
    jars,
    jvm: ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
    env: {},
  }
  try {
    await prepareBroker(plan, 'MkU3OEVBNTcwNTJENDM2Qg')
    const trained = broker({ ...plan, jvm: [...plan.jvm, `-XX:ArchiveClassesAtExit=${partial}`] })
    await trained.start()
    await trained.stop()
    if (existsSync(partial)) await rename(partial, jars.classArchive)
  } finally {
    await rm(folder, { recursive: true, force: true })
    unguard('dir', folder)
  }
}
