// npm runs `prepare` after `npm ci`, and again when `npx tidemark` links the checkout for the first time: then nothing has changed
// and building once more would only make the user wait.
import { spawnSync } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'

const BUILT = 'dist/.built'
const SOURCES = ['package.json', 'tsconfig.json', 'proto', 'streams', 'services', 'infra', 'load-tests']

const changedMs = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
const newest = (path) =>
  statSync(path).isDirectory()
    ? Math.max(0, ...readdirSync(path, { recursive: true }).map((name) => changedMs(`${path}/${name}`)))
    : changedMs(path)

if (changedMs(BUILT) > Math.max(...SOURCES.map(newest))) process.exit(0)
process.exit(spawnSync('npm', ['run', 'build'], { stdio: 'inherit' }).status ?? 1)
