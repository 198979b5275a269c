import { readFileSync } from 'node:fs'

/** Minimum share of loaded statements that `npm test` must run. */
const MIN_COVERAGE_PERCENT = 95

const report = JSON.parse(
  readFileSync(new URL('../.tap/report/coverage-summary.json', import.meta.url), 'utf8')
) as { total: { statements: { pct: number } } }
const { pct: coveragePercent } = report.total.statements
console.log(`Statement coverage: ${coveragePercent} % (at least ${MIN_COVERAGE_PERCENT} % wanted)`)
if (coveragePercent < MIN_COVERAGE_PERCENT) process.exitCode = 1
