/** Histories in which every promise was kept, written by hand: transcript.fixture.ts has the grammar. */
import type { History } from '../history.ts'
import { transcript } from './transcript.fixture.ts'

/** Of two partitions, b lies in 0, and d, f and n in 1. */
export const GOOD: Readonly<Record<string, History>> = {
  'one write is read back by everybody': transcript(`
    log 0 @5 put a 1 id s/1
    c1 put a 1 id s/1 => 0 v0
    c2 get a lin => a 1 v0 at 0
    c3 get a eventual => none at -1
    c3 get a session 0/0 => a 1 v0 at 0
    c1 get a session own => a 1 v0 at 0
    replica n1 0/1 aa a 1 v0
    replica n2 0/1 aa a 1 v0`),
  'two clients write one key at once': transcript(`
    log 0 @5 put a 1 id s/1
    log 1 @5 put a 2 id t/1
    A: c1 put a 1 id s/1
    B: c2 put a 2 id t/1
    C: c3 get a lin
    B => 1 v1
    A => 0 v0
    C => a 1 v0 at 0
    c3 get a lin => a 2 v1 at 1
    c1 get a session own => a 2 v1 at 1
    replica n1 0/2 bb a 2 v1`),
  'of two conditions on one version the first in the log wins': transcript(`
    log 0 @5 barrier
    log 1 @5 put a 1
    log 2 @6 put a 2 if 1 id s/1
    log 3 @6 put a 3 if 1 id t/1
    c1 put a 1 => 1 v1
    A: c1 put a 2 if 1 id s/1
    B: c2 put a 3 if 1 id t/1
    B => 3 VERSION_MISMATCH v2
    A => 2 v2
    c2 get a lin => a 2 v2 at 3
    c1 put a 2 if 1 id s/1 => 2 v2
    replica n1 0/4 cc a 2 v2`),
  'a counter': transcript(`
    log 0 @5 inc n 5 id s/1
    log 1 @6 inc n -2 id s/2
    log 2 @7 inc n 1 id t/1
    c1 inc n 5 id s/1 => 0 v0 number 5
    A: c1 inc n -2 id s/2
    B: c2 inc n 1 id t/1
    A => 1 v1 number 3
    B => 2 v2 number 4
    c3 get n lin => n 4 v2 at 2
    c3 history n 10 lin => put n 4 v2 @7 ; put n 3 v1 @6 ; put n 5 v0 @5 at 2
    replica n1 0/3 dd n 4 v2`),
  'a retry changes nothing': transcript(`
    log 0 @5 inc n 5 id s/1
    log 1 @6 inc n 5 id s/1
    A: c1 inc n 5 id s/1
    A => unknown DEADLINE_EXCEEDED
    c1 inc n 5 id s/1 => 1 v0 number 5 again 0
    c2 get n lin => n 5 v0 at 1
    c2 outcome 0/0 => v0 number 5 @5
    c2 outcome 0/1 => v0 number 5 again 0 @6
    replica n1 0/2 ee n 5 v0`),
  'an unknown write may have been applied': transcript(`
    log 0 @5 put a 1
    log 1 @6 put a 2 id s/2
    c1 put a 1 => 0 v0
    A: c1 put a 2 id s/2
    A => unknown WRITE_UNKNOWN
    c2 get a eventual => a 1 v0 at 0
    c2 get a lin => a 2 v1 at 1`),
  'an unknown write may be lost, and a refused one is not there': transcript(`
    log 0 @5 put a 1
    c1 put a 1 => 0 v0
    A: c1 put a 2 id s/2
    A => unknown NODE_UNREACHABLE
    c1 put a 3 id s/3 => failed OVERLOADED
    B: c1 put a 4 id s/4
    c2 get a lin => a 1 v0 at 0
    c2 get a lin => a 1 v0 at 0`),
  'packs answer each write': transcript(`
    log 0 @5 pack put a 1 id s/1 ; put b 2 id s/2 ; inc n 3 id t/1 ; put a2 9 if 7 id t/2
    log 1 @6 pack del a id s/3 ; put b 3 if 9 id s/4
    A: c1 put a 1 id s/1
    B: c1 put b 2 id s/2
    C: c2 inc n 3 id t/1
    D: c2 put a2 9 if 7 id t/2
    A => 0 v0
    B => 0 v0
    C => 0 v0 number 3
    D => 0 VERSION_MISMATCH
    E: c1 del a id s/3
    F: c1 put b 3 if 9 id s/4
    E => 1
    F => 1 VERSION_MISMATCH v0
    c3 scan - - lin => b 2 v0 ; n 3 v0 at 1
    replica n1 0/2 ff b 2 v0 ; n 3 v0`),
  'a transaction takes its branch and reads around it': transcript(
    `
    log 0 @5 put a 1
    log 1 @6 txn if a value 1 then put a 2 ; inc n 1 else del a id s/1
    log 2 @7 txn if a value 1 then del n else put b 3 id s/2
    c1 put a 1 => 0 v0
    A: c1 txn if a value 1 then put a 2 ; inc n 1 else del a read before a ; after a ; before n id s/1
    A => 1 then read a 1 v0 ; a 2 v1 ; none
    c1 txn if a value 1 then del n else put b 3 id s/2 => 2 else
    c2 scan - - lin => a 2 v1 ; b 3 v2 ; n 1 v1 at 2
    c2 scan - - lin limit 2 => a 2 v1 ; b 3 v2 at 2
    c2 scan - - lin limit 2 reverse => n 1 v1 ; b 3 v2 at 2
    c2 scan b - lin keys => b '' v2 ; n '' v1 at 2
    replica n1 0/3 ab a 2 v1 ; b 3 v2 ; n 1 v1`,
  ),
  'a row expires with the record whose time ends it': transcript(`
    log 0 @5 put a 1 ttl 10
    log 1 @14 barrier
    log 2 @15 barrier
    c1 put a 1 ttl 10 => 0 v0
    c2 get a lin => a 1 v0 until 15 at 1
    c2 get a lin => none at 2
    c2 get a version 1 lin => a 1 v0 until 15 at 2
    c2 history a 10 lin => expired a v2 @15 ; put a 1 v0 until 15 @5 at 2
    W: c3 watch - - resume 0/-1
    W ~ events put a 1 v0 until 15 @5 at 0/0
    W ~ events expired a v2 @15 at 0/2
    W => ended
    replica n1 0/2 ac a 1 v0 until 15
    replica n1 0/3 ad`),
  'a new write saves a row from its expiry': transcript(`
    log 0 @5 put a 1 ttl 10
    log 1 @6 put b 1 ttl 9
    log 2 @14 put a 2
    log 3 @20 inc n 1 ttl 5
    log 4 @25 put c 1
    c1 put a 1 ttl 10 => 0 v0
    c1 put b 1 ttl 9 => 1 v1
    c1 get a lin => a 1 v0 until 15 at 1
    c1 put a 2 => 2 v2
    c1 inc n 1 ttl 5 => 3 v3 number 1
    c2 scan - - lin => a 2 v2 ; n 1 v3 until 25 at 3
    c1 put c 1 => 4 v4
    c2 getMany a ; b ; n lin => a 2 v2 ; none ; none at 4
    W: c3 watch - - resume 0/1
    W ~ events put a 2 v2 @14 at 0/2
    W ~ events expired b v3 @20 ; put n 1 v3 until 25 @20 at 0/3
    W ~ events expired n v4 @25 ; put c 1 v4 @25 at 0/4
    W => ended
    replica n1 0/4 ae a 2 v2 ; n 1 v3 until 25`),
  'two partitions have an order each': transcript(
    `
    log 1/0 @5 put d 1
    log 0/0 @6 put b 1
    log 1/1 @7 put f 1
    log 0/1 @8 del b
    c1 put d 1 => 1/0 v0
    c1 put b 1 => 0/0 v0
    S: c2 scan - - lin
    c1 put f 1 => 1/1 v1
    c1 del b => 0/1
    S => b 1 v0 ; d 1 v0 at 0/0 1/0
    c2 scan - - lin => d 1 v0 ; f 1 v1 at 0/1 1/1
    c2 getMany b ; d lin => none ; d 1 v0 at 0/1 1/1
    c3 get b session 0/0 => b 1 v0 at 0/0
    c1 get b session own => none at 0/1
    replica n1 0/2 af
    replica n1 1/2 ba d 1 v0 ; f 1 v1`,
    2,
  ),
  'a client is not told where its reads stand': transcript(`
    log 0 @5 put a 1
    log 1 @6 put b 1
    log 2 @7 put a 2
    log 3 @8 del b
    log 4 @9 put a 3 ttl 5
    log 5 @14 barrier
    c1 put a 1 => 0 v0
    c1 put b 1 => 1 v1
    c2 scan - - lin => a 1 v0 ; b 1 v1
    c1 put a 2 => 2 v2
    c2 get a session own => a 1 v0
    c2 get a lin => a 2 v2
    c1 del b => 3
    c2 getMany a ; b lin => a 2 v2 ; none
    c1 put a 3 ttl 5 => 4 v4
    c2 get a eventual => a 2 v2
    c2 get a lin => none
    c2 get a session own => none`),
  'a foreign producer writes past the nodes': transcript(`
    log 0 @5 put a 1
    log 1 @6 inc a 2
    log 2 @7 raw a x merge
    log 3 @8 del a
    c1 foreign 0 put a 1 => 0/0
    c2 get a lin => a 1 v0 at 0
    c1 foreign 0 inc a 2 => 0/1
    c1 foreign 0 raw a x merge => 0/2
    c2 get a lin => a 3 v1 at 2
    A: c1 foreign 0 del a
    A => unknown LOG_UNAVAILABLE
    c2 outcome 0/0 => v0 @5
    c2 outcome 0/1 => v1 number 3 @6
    c2 outcome 0/2 => UNKNOWN_OPERATION @7
    c2 get a lin => none at 3`),
  'a write is answered when it is logged': transcript(`
    log 0 @5 put a 1
    log 1 @6 put a 2 if 7
    c1 put a 1 => 0 logged
    c1 put a 2 if 7 => 1 logged
    c2 get a lin => a 1 v0 at 1
    c2 outcome 0/1 => VERSION_MISMATCH v0 @6`),
  'a watch from now': transcript(`
    log 0 @5 put a 1
    log 1 @6 put b 1
    log 2 @7 put a 2
    log 3 @8 del a
    c1 put a 1 => 0 v0
    W: c2 watch - - previous
    W ~ progress at 0/0
    c1 put b 1 => 1 v1
    W ~ events put b 1 v1 @6 at 0/1
    c1 put a 2 => 2 v2
    c1 del a => 3
    W ~ events put a 2 v2 @7 was a 1 v0 ; deleted a v3 @8 was a 2 v2 at 0/3
    W ~ progress at 0/3
    W => ended`),
  'a watch of a range sees only that': transcript(`
    log 0 @5 put a 1
    log 1 @6 put b 1
    log 2 @7 pack put a 2 ; put b 2 ; put c 2
    log 3 @8 put c 3
    W: c2 watch b c
    W ~ started
    A: c1 put a 1
    B: c1 put b 1
    A => 0 v0
    B => 1 v1
    W ~ events put b 1 v1 @6 at 0/1
    C: c1 put a 2
    D: c1 put b 2
    E: c1 put c 2
    C => 2 v2
    D => 2 v2
    E => 2 v2
    W ~ events put b 2 v2 @7 at 0/2
    c1 put c 3 => 3 v3
    W ~ progress at 0/3
    W => failed NODE_DRAINING`),
  'a watch goes on where another ended': transcript(`
    log 0 @5 put a 1
    log 1 @6 put a 2
    log 2 @7 put a 3
    log 3 @8 put a 4
    V: c2 watch - - resume 0/0
    c1 put a 1 => 0 v0
    c1 put a 2 => 1 v1
    V ~ progress at 0/0
    V ~ events put a 2 v1 @6 at 0/1
    V => failed NODE_UNREACHABLE
    c1 put a 3 => 2 v2
    W: c2 watch - - resume 0/1
    W ~ progress at 0/1
    c1 put a 4 => 3 v3
    W ~ events put a 3 v2 @7 ; put a 4 v3 @8 at 0/3
    W => ended`),
  'a watch begins with the rows as they stand': transcript(
    `
    log 1/0 @5 put d 1
    log 1/1 @6 put f 1
    log 1/2 @7 del d
    log 1/3 @8 put n 1
    log 0/0 @6 put b 1
    c1 put d 1 => 1/0 v0
    c1 put f 1 => 1/1 v1
    c1 del d => 1/2
    W: c2 watch - - initial
    W ~ events put f 1 v1 in 1 at
    c1 put b 1 => 0/0 v0
    W ~ initial-end at 1/2
    W ~ events put b 1 v0 in 0 @6 at 0/0 1/2
    c1 put n 1 => 1/3 v3
    W ~ events put n 1 v3 in 1 @8 at 0/0 1/3
    W => ended`,
    2,
  ),
  'a delta tells the last states of what changed': transcript(`
    log 0 @5 put a 1
    log 1 @6 put b 1
    log 2 @7 put a 2
    log 3 @8 put c 1
    log 4 @9 del b
    log 5 @10 put c 2
    log 6 @11 put d 1
    c1 put a 1 => 0 v0
    c1 put b 1 => 1 v1
    c1 put a 2 => 2 v2
    c1 put c 1 => 3 v3
    c1 del b => 4
    c1 put c 2 => 5 v5
    W: c2 watch - - resume 0/1
    W ~ progress at 0/1
    W ~ delta-begin at
    W ~ events put a 2 v2 ; deleted b v4 at
    W ~ events put c 2 v5 at
    W ~ initial-end at 0/5
    c1 put d 1 => 6 v6
    W ~ events put d 1 v6 @11 at 0/6
    W => ended`),
  'initial rows that were cut come again': transcript(`
    log 0 @5 put a 1
    log 1 @6 put b 1
    log 2 @7 put b 2
    c1 put a 1 => 0 v0
    c1 put b 1 => 1 v1
    W: c2 watch - - initial
    W ~ started
    W ~ events put a 1 v0
    W ~ restart
    c1 put b 2 => 2 v2
    W ~ events put a 1 v0
    W ~ events put b 2 v2
    W ~ initial-end at 0/2
    W => ended`),
  'a record of several changes arrives one by one at a client': transcript(`
    log 0 @5 put a 1
    log 1 @6 txn then put a 2 ; put b 2 ; del c
    log 2 @7 put c 3
    c1 put a 1 => 0 v0
    W: c2 watch - -
    W ~ started
    c1 txn then put a 2 ; put b 2 ; del c => 1 then
    W ~ events put a 2 v1 @6 at 0/0
    W ~ events put b 2 v1 @6 at 0/1
    c1 put c 3 => 2 v2
    W ~ events put c 3 v2 @7 at 0/2
    W => ended`),
  'the log has gaps and its time steps back': transcript(`
    log 2 @50 put a 1 ttl 10
    log 5 @40 put b 1
    log 9 @60 put a 2 if 0
    c1 put a 1 ttl 10 => 2 v2
    c1 put b 1 => 5 v5
    c2 get a eventual => a 1 v2 until 60 at 7
    c2 get b lin => b 1 v5 at 5
    c1 put a 2 if 0 => 9 v9
    c2 get a lin => a 2 v9 at 9
    W: c3 watch - - resume 0/1
    W ~ events put a 1 v2 until 60 @50 ; put b 1 v5 @50 at 0/6
    W ~ progress at 0/8
    W ~ events expired a v9 @60 ; put a 2 v9 @60 at 0/9
    W => ended
    replica n1 0/10 bc a 2 v9 ; b 1 v5`),
  'faults come and go': transcript(`
    log 0 @5 put a 1 id s/1
    log 1 @6 put a 1 id s/1
    log 2 @7 put a 2 id s/2
    A: c1 put a 1 id s/1
    fault kill on
    A => unknown NODE_UNREACHABLE
    B: c1 put a 1 id s/1
    fault kill off
    B => 1 v0 again 0
    c1 put a 2 id s/2 => 2 v2
    c2 get a session 0/2 => a 2 v2 at 2
    c1 cut => 
    replica n1 0/3 bd a 2 v2
    replica n2 0/3 bd a 2 v2
    replica n3 0/2 be a 1 v0`),
  'content types, empty values and bytes of all kinds': transcript(`
    log 0 @5 put a '' type text/plain
    log 1 @6 put ÿþ é
    log 2 @7 put a 1
    c1 put a '' type text/plain => 0 v0
    c1 put ÿþ é => 1 v1
    c2 scan - - lin => a '' v0 type text/plain ; ÿþ é v1 at 1
    c1 put a 1 => 2 v2
    c2 get a lin => a 1 v2 at 2
    c2 history a 1 lin => put a 1 v2 @7 earliest 0 at 2
    c2 get a version 0 lin => a '' v0 type text/plain at 2
    replica n1 0/3 bf a 1 v2 ; ÿþ é v1`),
}
