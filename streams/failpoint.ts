/**
 * Named places right before and right after each call that changes what outlives the process, or asks Kafka for something:
 * where a process that ends does the most harm, so that tests can end it there (load-tests/kill-points).
 *
 * Nothing listens in production: a call then costs one comparison. Who starts the process decides
 * (services/cli/failpoints.ts). A rule over the sources (infra/failpoint-rules.ts) finds each call that should stand in one and does not,
 * and makes the list of all names; so each name stands in one place of the code.
 */
export type FailpointListener = (place: string) => void

let listener: FailpointListener | undefined

/** For tests: from now on called at each place, undefined for nobody. It may end the process; what it throws is a bug. */
export function onFailpoint(next: FailpointListener | undefined): void {
  listener = next
}

/**
 * Does the call between `<name>.before` and `<name>.after`. The latter comes when the call has returned or failed; of a promise,
 * when it is settled, and before anyone else hears of that.
 */
export function failpoint<T>(name: string, call: () => T): T {
  const tell = listener
  if (tell === undefined) return call()
  const after = (): void => {
    tell(`${name}.after`)
  }
  tell(`${name}.before`)
  let result: T
  try {
    result = call()
  } catch (caught) {
    after()
    throw caught
  }
  if (result instanceof Promise) result.then(after, after)
  else after()
  return result
}
