/** One member as a process: what it sees goes to the parent. Ends with the parent. */
import { openMember, type MemberPlan, type Message } from './member.fixture.ts'

const member = await openMember(JSON.parse(process.argv[2] ?? '{}') as MemberPlan)
const tell = (message: Message): void => {
  process.send?.(message)
}
const { membership } = member
membership.map$.subscribe((map) => {
  tell({ map, at: Date.now() })
})
membership.connected$.subscribe((connected) => {
  tell({ connected, at: Date.now() })
})
process.on('disconnect', () => process.exit())
