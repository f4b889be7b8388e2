import { expect } from 'chai'
import { hotSpots, hotSpotsTable, type Profile } from './hot-spots.ts'

const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber })

const PROFILE: Profile = {
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 5] },
    { id: 2, callFrame: frame('apply', 'file:///x/dist/core/apply.js', 9), children: [3] },
    { id: 3, callFrame: frame('encode', 'file:///x/dist/core/row.js', 4), children: [4] },
    { id: 4, callFrame: frame('encode', 'file:///x/dist/core/row.js', 4) },
    { id: 5, callFrame: frame('(idle)') },
  ],
  samples: [2, 3, 4, 5],
  timeDeltas: [10, 20, 30, 1000],
}

describe('the table of a profile', () => {
  it('has the own time of each function, and with what it calls; a function inside of itself counts once', () => {
    expect(hotSpots(PROFILE)).to.deep.equal([
      { name: 'encode core/row.js:5', self: 50, total: 50 },
      { name: 'apply core/apply.js:10', self: 10, total: 60 },
    ])
  })

  it('divides by the operations, and shows the first rows', () => {
    expect(hotSpotsTable(hotSpots(PROFILE), 10, 1).trimEnd().split('\n').slice(1)).to.deep.equal([
      '5.00  5.00   encode core/row.js:5',
    ])
  })
})
