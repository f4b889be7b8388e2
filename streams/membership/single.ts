/** One node, no peers: it leads every partition that it offers. */
import { BehaviorSubject } from 'rxjs'
import type { Leadership, Membership } from './membership.ts'

export function singleMembership(): Membership {
  const leads$ = new BehaviorSubject<readonly Leadership[]>([])
  return {
    leads$,
    offer(partitions) {
      leads$.next(partitions)
    },
    close() {
      leads$.next([])
      leads$.complete()
      return Promise.resolve()
    },
  }
}
