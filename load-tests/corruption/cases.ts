/** Which damages there are: each kind, in each file, at every 4 KiB. */
import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Prng } from '../../streams/core/testing/prng.ts'

export type Damage = 'bit flipped' | 'page zeroed' | 'cut off'

export interface Case {
  /** From the folder of the subject, with slashes. */
  readonly file: string
  readonly damage: Damage
  /** The first byte that is damaged. */
  readonly at: number
  readonly bit: number
}

const PAGE_BYTES = 4096
const DAMAGES: readonly Damage[] = ['bit flipped', 'page zeroed', 'cut off']

/** For each page of each file: a bit somewhere in it, all of it, an end somewhere in it. */
export async function allCases(folder: string, random: Prng): Promise<readonly Case[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const cases: Case[] = []
  for (const entry of entries.filter((one) => one.isFile()).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(entry.parentPath, entry.name)
    const { size } = await stat(path)
    for (let page = 0; page < size; page += PAGE_BYTES)
      for (const damage of DAMAGES) {
        const inside = random.below(Math.min(PAGE_BYTES, size - page))
        const at = damage === 'page zeroed' ? page : page + inside
        cases.push({ file: path.slice(folder.length + 1), damage, at, bit: random.below(8) })
      }
  }
  return cases
}

/** @returns false where the file is as it was */
export async function inflict(folder: string, { file, damage, at, bit }: Case): Promise<boolean> {
  const path = join(folder, file)
  if (damage === 'cut off') {
    await truncate(path, at)
    return true
  }
  const bytes = await readFile(path)
  if (damage === 'bit flipped') bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
  else {
    const page = bytes.subarray(at, at + PAGE_BYTES)
    if (page.every((byte) => byte === 0)) return false
    page.fill(0)
  }
  await writeFile(path, bytes)
  return true
}

/** For people: the files that are alike. */
export function kindOf(file: string): string {
  const [, , place = ''] = /^(data\/)?(log|replicas|snapshots)?/.exec(file) ?? []
  const name = file.split('/').at(-1) ?? ''
  const kind = /^\d+\.(sst|log)$/.exec(name)?.[1] ?? /^(MANIFEST|OPTIONS|LOG)/.exec(name)?.[0] ?? name
  const words: Readonly<Record<string, string>> = { sst: 'table', log: 'write-ahead log' }
  if (place === 'snapshots') return `snapshots: ${name.endsWith('.copy') ? 'copy' : 'manifest'}`
  return `${place === '' ? 'node' : place}: ${words[kind] ?? kind}`
}
