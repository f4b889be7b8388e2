import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url))

interface Ended {
  readonly code: number
  readonly said: string
}

const sim = (...args: readonly string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, ...args], (_, said) => {
      resolve({ code: child.exitCode ?? -1, said })
    })
  })

describe('npm run sim', () => {
  it('runs a seed, and the same seed in another process is the same run to the last byte', async () => {
    const [one, other] = await Promise.all([sim('--seed', '7'), sim('--seed', '7')])
    expect(one).to.deep.equal(other)
    expect(one.code, one.said).to.equal(0)
    expect(one.said).to.match(/^seed 7: \d+ operations, .* trace [0-9a-f]{64}\n$/)
  })

  it('runs a range of seeds over worker threads and says what they came to', async () => {
    const { code, said } = await sim('--seeds', '1..4', '--workers', '2')
    expect(code, said).to.equal(0)
    expect(said).to.match(/^4 seeds from 1 in \d+ s: 0 failed; /)
  })

  it('refuses what it does not understand, and says how it is used', async () => {
    const { code, said } = await sim('--seed', 'x')
    expect(code).to.equal(2)
    expect(said).to.contain('--seed is "x", not a whole number').and.contain('usage: npm run sim')
  })
})
