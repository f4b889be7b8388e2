// Makes `npx tidemark` in this checkout run the command just built. Without the link npx would install the checkout as a
// package first, which builds it once more.
import { chmodSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'

const COMMAND = 'dist/services/cli/main.js'
const LINK = 'node_modules/.bin/tidemark'

chmodSync(COMMAND, 0o755)
mkdirSync('node_modules/.bin', { recursive: true })
rmSync(LINK, { force: true })
symlinkSync(`../../${COMMAND}`, LINK)
