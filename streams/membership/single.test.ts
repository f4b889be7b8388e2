import { membershipContract } from './membership.contract.ts'
import { singleMembership } from './single.ts'

membershipContract('single', { several: false, patience: 1000 }, async () => ({
  member: singleMembership,
  dispose: async () => {},
}))
