import { expect } from 'chai'
import fc from 'fast-check'
import { compare, parting } from './compare.ts'

describe('a comparison', () => {
  const numbers = fc.array(fc.nat(100), { minLength: 1, maxLength: 50, size: 'max' })
  const text = (some: readonly number[]): readonly string[] => some.map(String)

  it('says nothing of what is equal', async () => {
    const found = await compare(7, numbers, async (some) =>
      Promise.resolve(parting(some, text(some), text(some))),
    )
    expect(found).to.include({ seed: 7, difference: undefined })
    expect(found.calls).to.be.at.least(1)
  })

  it('shows the smallest calls whose outcomes part, the same for the same seed', async () => {
    const odd = (some: readonly number[]): readonly string[] =>
      some.map((one) => (one > 9 ? 'many' : String(one)))
    const again = (): Promise<{ readonly difference: string | undefined }> =>
      compare(4, numbers, async (some) => Promise.resolve(parting(some, odd(some), text(some))))
    const { difference } = await again()
    expect(difference).to.equal('call 0: 10\n  simulated  many\n  real       10\nwith [[10]]')
    expect((await again()).difference).to.equal(difference)
  })

  it('notices outcomes that are missing', () => {
    expect(parting([1], ['1'], ['1', '2'])).to.include('simulated  undefined')
  })
})
