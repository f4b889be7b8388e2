/** Where what is simulated may part from what is real. Whatever else parts is a bug of one of them, or one that is missing here. */

export interface Difference {
  readonly name: string
  readonly simulated: string
  readonly real: string
  /** Why nothing that runs above the port depends on it. */
  readonly why: string
}

export const DIFFERENCES: readonly Difference[] = [
  {
    name: 'no-topic',
    simulated: 'calls about a topic or partition that is not there fail at once: KEYSPACE_NOT_FOUND',
    real: 'LOG_UNAVAILABLE after some tries: a broker that has not heard of a topic yet says the same',
    why: 'a node asks describeTopic and listTopics whether a topic is there; those agree',
  },
  {
    name: 'deleted-topic',
    simulated: 'who reads a topic that is deleted, and not made again, hears TOPIC_RECREATED',
    real: 'it waits, for the same reason',
    why: 'a node drops the replicas of topics that are not listed any more (node/keyspaces.ts)',
  },
  {
    name: 'read-ahead',
    simulated:
      'who reads a topic that was made again hears TOPIC_RECREATED at once, and what is trimmed LOG_TRIMMED',
    real: 'it may get what was read ahead first',
    why: 'these are the right records of the log that its replica was built from',
  },
  {
    name: 'size-bound',
    simulated: 'refuses a record past the largest value or pack and 64 KiB',
    real: 'refuses a batch past the `max.message.bytes` of the topic, which is larger',
    why: 'checks at the door (core/checks.ts) refuse what is larger than either takes',
  },
  {
    name: 'empty-cursor',
    simulated: 'a closed cursor over an empty range refuses: NODE_DRAINING',
    real: 'it is one cursor for all such ranges, and goes on saying that there is nothing',
    why: 'there was nothing to read before it was closed either',
  },
  {
    name: 'power-loss',
    simulated: 'loses as many batches behind the last synced one as the seed says',
    real: 'as many as had not reached the disk: some end of them, never one in the middle',
    why: 'a replica goes on from whichever offset is left',
  },
  {
    name: 'logged-outcome',
    simulated:
      'a write with durability LOGGED hears of its outcome or does not, as the replica is before the acknowledgement or after it',
    real: 'the same, by other timing',
    why: 'the outcome is not promised with LOGGED',
  },
  {
    name: 'staleness',
    simulated: 'an eventual read shows some prefix of the log',
    real: 'another prefix',
    why: 'each is one; traces ask once a replica has applied what was written',
  },
]
