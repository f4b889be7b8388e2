import { expect } from 'chai'
import { createTrouble, KAFKA } from './trouble.ts'

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
})
