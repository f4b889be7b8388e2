import { expect } from 'chai'
import { isSampled } from './tracing.ts'

describe('a trace context', () => {
  it('is sampled where its first flag says so', () => {
    const context = (flags: string): string => `00-${'a'.repeat(32)}-${'b'.repeat(16)}-${flags}`
    const sampled = ['01', '03', 'ff', '0b', '09']
    expect(sampled.map((flags) => isSampled(context(flags)))).to.deep.equal(sampled.map(() => true))
    const others = ['00', '02', 'fe', '0a', '08', '10']
    expect(others.map((flags) => isSampled(context(flags)))).to.deep.equal(others.map(() => false))
    expect(isSampled('')).to.equal(false)
  })
})
