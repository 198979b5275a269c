import { readFileSync } from 'node:fs'

/** Statements that must have run at least once during `npm test`, of all that were loaded. */
const LEAST_PERCENT = 95

const report = JSON.parse(
  readFileSync(new URL('../.tap/report/coverage-summary.json', import.meta.url), 'utf8')
) as { total: { statements: { pct: number } } }
const { pct } = report.total.statements
console.log(`Statement coverage: ${pct} % (at least ${LEAST_PERCENT} % wanted)`)
if (pct < LEAST_PERCENT) process.exitCode = 1
