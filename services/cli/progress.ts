/** A line on a terminal that says how far a long command is; nothing where standard error is no terminal. */

export interface Progress {
  /** @param share - 0 to 1; undefined where the end is not known */
  show(done: number, share: number | undefined): void
  /** Removes the line. */
  end(): void
}

const SHOW_MS = 100
const BAR_CELLS = 24

export function progress(what: string): Progress {
  if (!process.stderr.isTTY) return { show: () => undefined, end: () => undefined }
  const began = performance.now()
  let shown = 0
  return {
    show(done, share) {
      const now = performance.now()
      if (now - shown < SHOW_MS) return
      shown = now
      const rate = Math.round((done * 1000) / Math.max(1, now - began))
      const bar = share === undefined ? '' : `${barText(share)} ${Math.floor(share * 100)} %  `
      process.stderr.write(`\r\u001b[K${bar}${done} ${what}, ${rate}/s`)
    },
    end() {
      if (shown > 0) process.stderr.write('\r\u001b[K')
    },
  }
}

function barText(share: number): string {
  const full = Math.min(BAR_CELLS, Math.round(share * BAR_CELLS))
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full)
}
