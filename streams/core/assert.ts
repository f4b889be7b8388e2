/** Assertions stay on in production: a state that cannot happen stops the process instead of spreading. */

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** The value, which the caller has proved to be there; stops the process where that proof is wrong. */
export function must<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new AssertionError(`${what} is missing`)
  return value
}

/** The default branch of an exhaustive switch: the compiler refuses it where a case is left. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${String(value)}`)
}

/** A bug in Tidemark itself, never a fault of input or of the outside world. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}
