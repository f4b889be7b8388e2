/**
 * One member of the group: joins, beats, joins again, for ever, whatever fails.
 *
 *                     ┌──────── the group gathers again, or rejoin() ────────┐
 *   clear old ─▶ join ─▶ sync ─▶ beat … beat ─┬──────────────────────────────┘
 *                 ▲                           ├─ coordinator gone: ask for it, go on beating with the same id
 *                 └────── put out: no id ─────┘
 *
 * Invariants: one request of this loop is in flight at a time; the member id is kept through every fault but UNKNOWN_MEMBER_ID, because
 * a new one beside an old one that has not expired would hold up the group for a session; no fault ends the loop.
 */
import { TidemarkError } from '../../core/errors.ts'
import {
  KAFKA_REQUEST_MS,
  KAFKA_RETRY_MS,
  KAFKA_RETRY_MS_MAX,
  MEMBER_HEARTBEAT_MS,
  MEMBER_LEAVE_MS,
  MEMBER_REBALANCE_MS,
  MEMBER_SESSION_MS,
} from '../../core/limits.ts'
import { failpoint } from '../../failpoint.ts'
import { describeCode } from '../../log/kafka/client.ts'
import { createSignal } from '../../log/kafka/signal.ts'
import type { Clock } from '../../ports.ts'
import type { Coordinator } from './coordinator.ts'
import {
  CODE,
  describeGroupCall,
  heartbeatCall,
  joinGroupCall,
  leaveGroupCall,
  syncGroupCall,
  type MemberWords,
  type Seat,
} from './group-protocol.ts'

/** What the loop asks for and tells. None of these may throw. */
export interface Part {
  /** What to say when joining; called for each attempt. */
  words(): Uint8Array
  /** Called on the leader of the group only. */
  assign(members: readonly MemberWords[], generation: number): Uint8Array
  /** In the group, with what the leader gave to all. */
  joined(gift: Uint8Array): void
  /** The coordinator knew this member after the given time. */
  known(since: number): void
  /** The coordinator does not know this member any more; it joins again at once. */
  expelled(): void
  /** It failed several times in a row, because nobody answered or because of the answer, and is tried on; and it works again. */
  failing(cause: 'silence' | 'refusal', why: string): void
  working(): void
}

export interface GroupMember {
  /** Joins again, which makes a new generation if the words have changed. */
  rejoin(): void
  /** Leaves the group, as far as its coordinator can be reached in MEMBER_LEAVE_MS. */
  leave(): Promise<void>
}

/** The request was not answered; no code of Kafka's. */
const NO_ANSWER = -2
/** Faults in a row before a pause: a rebalance, a coordinator that moves, are over by then. */
const QUICK_TRIES = 3
/** Requests that wait for other members are answered when the rebalance time is over. */
const ANSWER_MS = MEMBER_REBALANCE_MS + KAFKA_REQUEST_MS

export function startGroupMember(
  coordinator: Coordinator,
  clock: Clock,
  groupId: string,
  clientId: string,
  part: Part,
): GroupMember {
  const wake = createSignal()
  let seat: Seat = { groupId, memberId: '', generation: -1 }
  let next: 'clear' | 'join' | 'beat' = 'clear'
  let faults = 0
  let why = ''
  let hint = ''
  let left = false

  /**
   * Puts out what is left of earlier processes of this node: dead ones would hold up the first join until their session ends,
   * a live one learns that it was replaced. They are known by the client id, which the broker tells in every state of the group.
   */
  const clear = async (): Promise<number> => {
    const { errorCode, members } = await failpoint('group.look', () =>
      coordinator.aside(describeGroupCall(groupId)),
    )
    if (errorCode !== CODE.NONE && errorCode !== CODE.GROUP_ID_NOT_FOUND) return errorCode
    const old = members.filter((member) => member.clientId === clientId).map(({ memberId }) => memberId)
    if (old.length > 0) await failpoint('group.clear', () => coordinator.aside(leaveGroupCall(groupId, old)))
    next = 'join'
    return CODE.NONE
  }

  const join = async (): Promise<number> => {
    next = 'beat'
    const words = part.words()
    const { memberId } = seat
    const answer = await failpoint('group.join', () =>
      coordinator.call(
        joinGroupCall({
          groupId,
          memberId,
          sessionMs: MEMBER_SESSION_MS,
          rebalanceMs: MEMBER_REBALANCE_MS,
          words,
        }),
        ANSWER_MS,
      ),
    )
    if (answer.errorCode === CODE.MEMBER_ID_REQUIRED) {
      seat = { ...seat, memberId: answer.memberId }
      next = 'join'
      return CODE.NONE
    }
    if (answer.errorCode !== CODE.NONE) return answer.errorCode
    seat = { groupId, memberId: answer.memberId, generation: answer.generation }
    const leads = answer.leader === seat.memberId
    const sent = clock.elapsed()
    const gift = leads ? part.assign(answer.members, answer.generation) : Buffer.alloc(0)
    const synced = await failpoint('group.sync', () =>
      coordinator.call(syncGroupCall(seat, leads ? answer.members : [], gift), ANSWER_MS),
    )
    if (synced.errorCode !== CODE.NONE) {
      if (leads && synced.errorCode === CODE.UNKNOWN) hint = sizeHint(answer.members, gift)
      return synced.errorCode
    }
    hint = ''
    part.known(sent)
    part.joined(synced.gift)
    return CODE.NONE
  }

  const beat = async (): Promise<number> => {
    const sent = clock.elapsed()
    const code = await failpoint('group.heartbeat', () =>
      coordinator.call(heartbeatCall(seat), KAFKA_REQUEST_MS),
    )
    if (code === CODE.NONE || code === CODE.REBALANCE_IN_PROGRESS) part.known(sent)
    return code
  }

  const steps = { clear, join, beat }

  const act = async (): Promise<number> => {
    const step = next
    try {
      const code = await steps[step]()
      // What was asked for is not done yet; a rejoin() that came meanwhile stands too.
      if (code !== CODE.NONE && next === 'beat') next = step
      if (code !== CODE.NONE) why = `${describeCode(code)}.${hint}`
      return code
    } catch (caught) {
      if (next === 'beat') next = step
      why = TidemarkError.from(caught).message
      return NO_ANSWER
    }
  }

  /** Reads what the last step came to. @returns milliseconds until the next one */
  const weigh = (code: number): number => {
    if (code === CODE.NONE) {
      if (faults >= QUICK_TRIES) part.working()
      faults = 0
      return next === 'beat' ? MEMBER_HEARTBEAT_MS : 0
    }
    switch (code) {
      case CODE.REBALANCE_IN_PROGRESS:
      case CODE.ILLEGAL_GENERATION:
        next = 'join'
        break
      case CODE.UNKNOWN_MEMBER_ID:
        seat = { ...seat, memberId: '' }
        next = 'join'
        part.expelled()
        break
      case NO_ANSWER:
      case CODE.NOT_COORDINATOR:
      case CODE.COORDINATOR_NOT_AVAILABLE:
        coordinator.lost()
        break
      default: // It loads the group, or refuses us for a reason that an operator can remove.
    }
    faults += 1
    if (faults < QUICK_TRIES) return 0
    // To be told again and again that others come and go is no trouble.
    if (code !== CODE.REBALANCE_IN_PROGRESS) part.failing(code === NO_ANSWER ? 'silence' : 'refusal', why)
    return Math.min(KAFKA_RETRY_MS * 2 ** (faults - QUICK_TRIES), KAFKA_RETRY_MS_MAX)
  }

  const run = async (): Promise<void> => {
    while (!left) {
      wake.clear()
      const code = await act()
      if (left) return
      const pause = weigh(code)
      if (pause > 0) await wake.wait(pause)
    }
  }
  const ended = run()

  const farewell = async (): Promise<void> => {
    // The answer to a first join, which gives the member id, comes at once.
    await Promise.race([ended, clock.sleep(KAFKA_RETRY_MS)])
    for (let tries = 0; tries < 2 && seat.memberId !== ''; tries++) {
      try {
        const code = await failpoint('group.leave', () =>
          coordinator.aside(leaveGroupCall(groupId, [seat.memberId])),
        )
        if (code === CODE.NONE || code === CODE.UNKNOWN_MEMBER_ID) return
      } catch {
        // Its peers or the end of its session will put it out.
      }
      coordinator.lost()
    }
  }

  return {
    rejoin() {
      if (next === 'beat') next = 'join'
      wake.set()
    },
    async leave() {
      left = true
      wake.end()
      await Promise.race([farewell(), clock.sleep(MEMBER_LEAVE_MS)])
      coordinator.close()
    },
  }
}

/** The broker does not say what it could not store. */
function sizeHint(members: readonly MemberWords[], gift: Uint8Array): string {
  const bytes = members.reduce((sum, { words }) => sum + words.length + gift.length, 0)
  return ` The group of ${members.length} nodes takes ${bytes} bytes: its brokers need a message.max.bytes above that.`
}
