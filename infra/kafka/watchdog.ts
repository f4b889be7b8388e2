/**
 * Ends processes and removes folders when this process is gone, however it went (SIGKILL too): a small shell in a
 * session of its own reads what to guard from a pipe; the end of the pipe is the end of this process.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { Socket } from 'node:net'

// Commands: `+pid N`, `-pid N`, `+dir PATH`, `-dir PATH`, `+container NAME`, `-container NAME`; one to a line. A list is kept as lines.
const SCRIPT = `
list=
nl='
'
while IFS= read -r line; do
  what=\${line#?}
  case $line in
    +*) list="$list$what$nl" ;;
    -*) list=$(printf '%s' "$list" | grep -Fxv -- "$what")$nl ;;
  esac
done
each() { printf '%s' "$list" | while IFS= read -r entry; do case $entry in "$1 "*) "$2" "\${entry#* }" ;; esac; done; }
end() { kill -KILL "$1" 2>/dev/null; }
remove() { rm -rf -- "$1" 2>/dev/null || { sleep 1; rm -rf -- "$1"; }; }
container() { docker rm -f -v "$1" >/dev/null 2>&1; }
each pid end
each container container
each dir remove
`

type Kind = 'pid' | 'dir' | 'container'

let shell: ChildProcess | undefined

function tell(line: string): void {
  if (shell === undefined) {
    shell = spawn('/bin/sh', ['-c', SCRIPT], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      cwd: '/',
    })
    // Neither the shell nor its pipe may keep this process alive.
    shell.unref()
    shell.stdin?.on('error', () => undefined)
    if (shell.stdin instanceof Socket) shell.stdin.unref()
  }
  shell.stdin?.write(`${line}\n`)
}

export function guard(kind: Kind, what: string | number): void {
  tell(`+${kind} ${what}`)
}

/** A process that was just started: guarded until it ends. */
export function guarded<C extends ChildProcess>(child: C): C {
  const { pid } = child
  if (pid === undefined) return child
  guard('pid', pid)
  child.once('exit', () => {
    unguard('pid', pid)
  })
  return child
}

/**
 * A guarded process whose output goes to the end of a file, in a group of its own: Ctrl-C in the terminal reaches only us, and
 * we stop servers in order.
 */
export function launch(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  output: string,
): ChildProcess {
  const file = openSync(output, 'a')
  try {
    return guarded(spawn(command, args, { stdio: ['ignore', file, file], detached: true, env }))
  } finally {
    closeSync(file)
  }
}

/** Must be called when a guarded process has ended: its number may be given to another. */
export function unguard(kind: Kind, what: string | number): void {
  tell(`-${kind} ${what}`)
}
