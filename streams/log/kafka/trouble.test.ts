import { expect } from 'chai'
import { TidemarkError } from '../../core/errors.ts'
import { offset, partition } from '../../core/types.ts'
import type { Append } from '../log.ts'
import { createAppendTrouble, createTrouble, KAFKA } from './trouble.ts'

describe('trouble', () => {
  it('is told once when it begins and once when it ends', () => {
    const told: string[] = []
    const trouble = createTrouble({
      trouble: (sentence) => told.push(sentence),
      recovered: (sentence) => told.push(sentence),
    })
    trouble.end('broker 1')
    trouble.begin('broker 1', 'It does not answer.')
    trouble.begin('broker 1', 'It does not answer.')
    trouble.begin(KAFKA, 'None answers.')
    trouble.begin('broker 2', 'It does not answer.')
    trouble.end(KAFKA)
    trouble.end('broker 1')
    trouble.end('broker 2')
    expect(told).to.deep.equal([
      'It does not answer.',
      'None answers.',
      'The trouble with Kafka is over after 0.0 s.',
      'The trouble with broker 1 is over after 0.0 s.',
    ])
  })

  it('of appends begins with the first partition that fails and ends with the last', () => {
    const told: string[] = []
    const appends = createAppendTrouble(
      createTrouble({ trouble: (sentence) => told.push(sentence), recovered: () => told.push('over') }),
    )
    const failure = new TidemarkError('LOG_UNAVAILABLE', 'it has no leader')
    const part = (place: number): Append => ({ topic: 't', partition: partition(place), records: [] })
    const place = { firstOffset: offset(1) }
    appends.note(part(0), place)
    appends.note(part(0), new TidemarkError('VALUE_TOO_LARGE', 'too large'))
    appends.note(part(0), failure)
    appends.note(part(1), failure)
    appends.note(part(0), failure)
    appends.note(part(0), place)
    appends.note(part(2), place)
    expect(told).to.deep.equal(['it has no leader'])
    appends.note(part(1), place)
    expect(told).to.deep.equal(['it has no leader', 'over'])
  })
})
