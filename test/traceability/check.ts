import { MUTATIONS } from '../mutations/all.ts'
import { findTraceabilityGaps } from './evaluate.ts'
import { PROMISES, THREATS } from './rows.ts'
import { findProofs } from './titles.ts'

// `npm run security:check`: exits with 1 if a threat or promise has no test, or its test no mutation, and
// there is no reason.
const rows = [...THREATS, ...PROMISES]
const problems = findTraceabilityGaps(rows, findProofs(), MUTATIONS)
for (const sentence of problems) console.error(sentence)
console.log(
  `${rows.length} threats and promises, ${problems.length} of them without what proves them`
)
if (problems.length > 0) process.exitCode = 1
