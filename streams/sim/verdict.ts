/** What is wrong with the evidence of a run, as sentences: what all checkers say. */
import { checkHistory } from './check/check.ts'
import type { History } from './history.ts'

/** Sentences of one checker at most: the first ones tell it all. */
const SENTENCES_MAX = 3

export const verdict = (history: History): readonly string[] =>
  checkHistory(history).flatMap(({ name, violations }) =>
    violations.slice(0, SENTENCES_MAX).map(({ message }) => `${name}: ${message}`),
  )
