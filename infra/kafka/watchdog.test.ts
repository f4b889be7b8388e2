import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'

/** A process that guards what the code says, tells us the answer, and is then killed. */
async function killedAfter(code: string): Promise<void> {
  const url = JSON.stringify(new URL('watchdog.js', import.meta.url).href)
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { guard, unguard } from ${url}\n${code}\nconsole.log('guarded')\nsetInterval(() => 0, 1000)`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'close')
}

async function until(condition: () => boolean): Promise<boolean> {
  for (let polls = 0; polls < 400 && !condition(); polls++)
    await new Promise((resolve) => setTimeout(resolve, 25))
  return condition()
}

describe('the watchdog', () => {
  it('ends the process and removes the folder of a starter that was killed, and nothing else', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-watchdog a-'))
    const released = await mkdtemp(join(tmpdir(), 'tidemark-watchdog-b-'))
    const guarded = spawn('sleep', ['300'], { stdio: 'ignore' })
    const spared = spawn('sleep', ['300'], { stdio: 'ignore' })
    try {
      const ended = once(guarded, 'exit')
      await killedAfter(`
        guard('pid', ${guarded.pid}); guard('pid', ${spared.pid})
        guard('dir', ${JSON.stringify(folder)}); guard('dir', ${JSON.stringify(released)})
        unguard('pid', ${spared.pid}); unguard('dir', ${JSON.stringify(released)})`)
      expect((await ended)[1]).to.equal('SIGKILL')
      expect(await until(() => !existsSync(folder))).to.equal(true)
      expect(existsSync(released)).to.equal(true)
      expect(spared.exitCode ?? spared.signalCode).to.equal(null)
    } finally {
      spared.kill()
      guarded.kill()
      await killedAfter(`guard('dir', ${JSON.stringify(released)})`)
    }
  })
})
