/** One row of the table of settings. */
import { z } from 'zod'

export interface Setting<Value, Standard extends string | undefined = string | undefined> {
  readonly name: string
  /** For people: what may stand there. */
  readonly type: string
  readonly schema: z.ZodType<Value, string>
  /** As text, as the environment would have it; undefined = unset. */
  readonly standard: Standard
  readonly meaning: string
  /** Never shown. */
  readonly secret?: true
  /** A value that many give it, as the environment has it. */
  readonly example?: string
  /** The release that brought it. */
  readonly since: string
}

/** Beside what every row has. */
type More = Partial<Pick<Setting<unknown>, 'secret' | 'example' | 'since'>>

const FIRST_RELEASE = '0.1.0'

export const setting = <Value, Standard extends string | undefined>(
  name: string,
  type: string,
  schema: z.ZodType<Value, string>,
  standard: Standard,
  meaning: string,
  more: More = {},
): Setting<Value, Standard> => ({ name, type, schema, standard, meaning, since: FIRST_RELEASE, ...more })

export const flag = z
  .enum(['0', '1', 'false', 'true', ''], 'must be 1 or 0')
  .transform((text) => text === '1' || text === 'true')
