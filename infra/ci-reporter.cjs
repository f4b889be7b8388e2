/**
 * Mocha's spec reporter that also leaves its counts and failures as JSON in the file that TIDEMARK_TEST_COUNTS names, for
 * .ci/run. A failed hook counts as a failure; a skipped test is neither passed nor failed.
 */
'use strict'

const { writeFileSync } = require('node:fs')
const { reporters, Runner } = require('mocha')

class CountingReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    const path = process.env.TIDEMARK_TEST_COUNTS
    if (path === undefined || path === '') return
    const failed = []
    runner.on(Runner.constants.EVENT_TEST_FAIL, (test, error) => {
      failed.push({ title: test.fullTitle(), why: error?.stack ?? String(error) })
    })
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending, duration } = runner.stats
      writeFileSync(path, `${JSON.stringify({ passes, failures, pending, duration, failed })}\n`)
    })
  }
}

module.exports = CountingReporter
