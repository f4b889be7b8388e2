/** All boards, in the order in which they are opened. */
import type { Board } from './board.ts'
import { OVERVIEW } from './overview.ts'
import { PARTITIONS } from './partitions.ts'
import { RUNTIME } from './runtime.ts'
import { KAFKA, ROCKSDB } from './store-and-log.ts'

export const BOARDS: readonly Board[] = [OVERVIEW, PARTITIONS, ROCKSDB, KAFKA, RUNTIME]
