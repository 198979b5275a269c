import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { readResults, type SavedResult } from './results.ts'

/**
 * Compares saved results with the budget: for each scenario, the processor time of a request of the
 * service as a multiple of bare Fastify's. Prints a warning where it is exceeded; never fails.
 */
const { values, positionals } = parseArgs({
  options: { write: { type: 'boolean', default: false } },
  allowPositionals: true
})
const [name = 'quick'] = positionals
const BUDGET_FILE = new URL('budget.json', import.meta.url)
/** A scenario may cost a tenth more. */
const TOLERANCE = 1.1
const DIGITS = 3

/** By engine and scenario. */
type Budget = Record<string, Record<string, number>>

const results = readResults(name)?.results
if (results === undefined) {
  console.error(
    `There are no results named ${name}. Usage: npm run bench:budget -- [--write] [NAME of --save]`
  )
  process.exit(2)
}
/** Null where a request failed. */
const getCost = ({ ratios }: SavedResult) =>
  ratios === null || ratios === undefined ? null : 1 / ratios.cpu
const budget: Budget = existsSync(BUDGET_FILE)
  ? (JSON.parse(readFileSync(BUDGET_FILE, 'utf8')) as Budget)
  : {}
let warningCount = 0
const warn = (text: string) => {
  warningCount++
  console.log(`warning: ${text}`)
}

for (const result of results) {
  const isBudgeted = result.program === 'bench' && result.contenders?.[1]?.name === 'bare'
  if (!isBudgeted) continue
  const { engine, name: scenario, title } = result
  const cost = getCost(result)
  const engineBudget = (budget[engine] ??= {})
  const allowed = engineBudget[scenario]
  if (cost === null) {
    warn(`${title}, ${engine}: requests failed, so its cost is unknown.`)
  } else if (values.write) {
    engineBudget[scenario] = Number(cost.toPrecision(DIGITS))
  } else if (allowed === undefined) {
    warn(`${title}, ${engine}: it has no budget (npm run bench:budget -- --write ${name}).`)
  } else if (cost > allowed * TOLERANCE) {
    const percent = ((cost / allowed - 1) * 100).toFixed(0)
    warn(
      `${title}, ${engine}: a request costs ${cost.toFixed(2)} times that of bare Fastify, ` +
        `${percent} % more than its budget of ${allowed}.`
    )
  }
}
if (values.write) writeFileSync(BUDGET_FILE, `${JSON.stringify(budget, null, 2)}\n`)
console.log(
  `${values.write ? 'Wrote bench/budget.json from' : 'Compared with bench/budget.json:'} ` +
    `bench/results/${name}.json, ${warningCount} warnings.`
)
