/** A sample of the kill points: `npm run kill-points` has them all, with a real Kafka and a real S3 server. */
import { expect } from 'chai'
import { failpointNames } from '../../infra/failpoint-rules.ts'
import { readSources } from '../../infra/source-files.ts'
import { hunt, targetsOf, type Target } from './hunt.ts'
import { firstStart, keyspaces, snapshots, stop, writes } from './scenarios.ts'

/** The names of these were chosen for what a kill there would break first. */
const POINTS = [
  'catalogue.claim.after',
  'catalogue.release.after',
  'log.append.after',
  'log.create-topic.after',
  'log.sync.after',
  'log.trim-mark.after',
  'replica.write.after',
  'snapshot.rename.after',
  'store.close.before',
]

describe('a node that is killed at a failpoint', function () {
  this.timeout(240_000)
  let targets: ReadonlyMap<string, readonly Target[]>

  before(async () => {
    const scenarios = [writes, stop, keyspaces, snapshots, firstStart]
    const outside = (): Promise<object> => Promise.resolve({})
    targets = await targetsOf([{ kind: 'embedded', scenarios, outside }], () => undefined)
  })

  it('comes to most of the kill points of the embedded log in these scenarios', () => {
    expect(failpointNames(readSources())).to.include.members([...targets.keys()])
    expect(targets.size).to.be.at.least(60)
  })

  for (const point of POINTS)
    it(`${point}: loses nothing, does nothing twice, and serves on`, async () => {
      const target = targets.get(point)
      if (target === undefined) expect.fail(`no scenario comes to ${point}`)
      const { faults, hits, replicasCompared } = await hunt(target, 1, 1)
      expect(faults).to.deep.equal([])
      expect(hits).to.equal(1)
      expect(replicasCompared).to.be.at.least(2)
    })
})
