/** What a run is told. */

export interface Settings {
  /** Milliseconds of each timed workload. */
  readonly ms: number
  /** Distinct keys, of 20 bytes. */
  readonly keys: number
  readonly valueBytes: number
  /** Records of the log that is replayed. */
  readonly replayRecords: number
  /** Keys of the hot set. */
  readonly hotKeys: number
}

export const FULL: Settings = {
  ms: 6000,
  keys: 1_000_000,
  valueBytes: 100,
  replayRecords: 1_000_000,
  hotKeys: 1000,
}

/** For a look, not for figures. */
export const QUICK: Settings = { ...FULL, ms: 1000, keys: 100_000, replayRecords: 300_000 }

/** The aims, on two cores. */
export const AIM = {
  putsKafka: { atLeast: 60_000 },
  putsEmbedded: { atLeast: 80_000 },
  gets: { atLeast: 150_000 },
  unaryGetShare: { atLeast: 85 },
  unaryPutShare: { atLeast: 60 },
  putMsKafka: { atMost: 2 },
  replay: { atLeast: 150_000 },
  idleMiB: { atMost: 150 },
} as const

/** Operations that keep a pipeline full: the client's own bound. */
export const IN_FLIGHT = 1024
/** Unary calls at once, as in the figures of the design. */
export const UNARY_IN_FLIGHT = 100
/** Keys of one BatchGet. */
export const BATCH_KEYS = 256
