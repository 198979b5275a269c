import { findTraceabilityGaps } from './evaluate.ts'
import { PROMISES, THREATS } from './rows.ts'
import { findProofs } from './titles.ts'

// `npm run security:check`: exits with 1 if a threat or promise has neither a test nor a reason.
const rows = [...THREATS, ...PROMISES]
const problems = findTraceabilityGaps(rows, findProofs())
for (const sentence of problems) console.error(sentence)
console.log(
  `${rows.length} threats and promises, ${problems.length} of them without what proves them`
)
if (problems.length > 0) process.exitCode = 1
