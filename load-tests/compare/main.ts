/** `npm run compare`: Tidemark beside etcd, Redis and Kafka Streams, in one run. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { machineText } from '../bench/figures.ts'
import { describeMachine } from '../bench/machine.ts'
import { PEERS, type Durability } from './peers.ts'
import { FULL, QUICK, type Scale, WORKLOADS } from './plan.ts'
import { type Measured, compare } from './run.ts'
import { rowsOf, tableOf } from './table.ts'
import { goPrograms } from './tools.ts'

const HELP = `Tidemark beside etcd, Redis and Kafka Streams on this machine, under the same load of
one Go program, in turns.

  npm run compare -- [options]

  --quick            a look: one round, short, few rows; its figures are not to be quoted
  --peers A,B        only these: tidemark, etcd, redis, streams (default: all that this machine can run)
  --durability WHICH fsync (what is acknowledged is on the disk) or "page cache"; default: both, never mixed
  --only TEXT        only workloads whose title has this in it
  --rounds N         how often each is measured; the median counts (5)
  --seconds N        how long each time (10)
  --keys N           rows (1,000,000)
  --json FILE        also write every sample and the machine as JSON
  --help             this text

Everything shares this machine: clients, servers, brokers. CPU US is what all processes of the server used for one
operation, the broker's included. TIDEMARK IS the rate of the better Tidemark of the class over the peer's.
Go builds etcd and the load the first time (some minutes), Maven the front of Kafka Streams; Redis is the
Debian package.
`

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    peers: { type: 'string' },
    durability: { type: 'string' },
    only: { type: 'string', default: '' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    keys: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) process.stdout.write(HELP)
else await main()

async function main(): Promise<void> {
  const base = values.quick ? QUICK : FULL
  const scale: Scale = {
    rounds: numberOf('rounds', base.rounds),
    seconds: numberOf('seconds', base.seconds),
    keys: numberOf('keys', base.keys),
  }
  const kinds = values.peers?.split(',')
  const workloads = WORKLOADS.filter(({ title }) => title.includes(values.only))
  if (workloads.length === 0) throw new Error(`no workload has ${values.only} in its title`)
  const say = (sentence: string): void => {
    console.error(sentence)
  }
  say('building the load and etcd …')
  const programs = await goPrograms()
  const measured: Measured[] = []
  for (const durability of durabilities()) {
    const peers = PEERS.filter(
      (peer) => peer.durability === durability && (kinds?.includes(peer.kind) ?? true),
    )
    measured.push(...(await compare(durability, peers, { scale, programs, workloads, say })))
  }
  const machine = describeMachine()
  const rows = rowsOf(measured)
  const about = `${scale.rounds} rounds of ${scale.seconds} s, ${scale.keys.toLocaleString('en-US')} rows, values of 100 bytes where nothing else is said`
  process.stdout.write(`\n${machineText(machine)}\n${about}\n\n${tableOf(rows)}`)
  if (values.json !== undefined)
    await writeFile(values.json, JSON.stringify({ machine, scale, rows, measured }, undefined, 2))
}

function durabilities(): readonly Durability[] {
  const { durability } = values
  if (durability === undefined) return ['fsync', 'page cache']
  if (durability === 'fsync' || durability === 'page cache') return [durability]
  throw new Error(`--durability is fsync or "page cache", not ${durability}`)
}

function numberOf(name: 'rounds' | 'seconds' | 'keys', base: number): number {
  const text = values[name]
  if (text === undefined) return base
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`--${name} is a whole number from 1, not ${text}`)
  return number
}
