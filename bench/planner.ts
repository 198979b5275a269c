/**
 * Prints what runs cost, and simulates idle users of one site under the planner and Atlassian's
 * hourly quota: how fresh is whose copy? No network and no database: the functions of the planner
 * and of the rate budget, on a clock of its own. The same figures on every machine.
 *
 *   npm run bench:planner [-- --quick]
 */
import { parseArgs } from 'node:util'
import { planConnection, sharePoints } from '../src/sync/planner.ts'
import {
  createConnections,
  DAY_MS,
  HOUR_MS,
  INTERVALS,
  MINUTE_MS,
  QUOTA,
  simulate,
  SITE,
  sum,
  toPages,
  type SiteSize
} from './planner-simulation.ts'
import { formatTable, median } from './statistics.ts'

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const SMALL_SITE: SiteSize = { projects: 130, issues: 700, spaces: 30, pages: 900 }
const format = (value: number) => Math.round(value).toLocaleString('en')
const formatMinutes = (ms: number) => `${(ms / MINUTE_MS).toFixed(0)} min`
const formatHours = (ms: number) => `${(ms / HOUR_MS).toFixed(1)} h`
const formatDays = (ms: number) => `${(ms / DAY_MS).toFixed(1)} d`

/** Points of each run before projects, spaces and issues were read as today, and today. */
function listRunCosts({
  projects,
  issues,
  spaces,
  pages
}: SiteSize): Array<[string, number, number]> {
  const [listJira, listConfluence] = [sum(toPages(projects, 100)), sum(toPages(spaces, 250))]
  const fetchIssues = sum(toPages(issues, 100))
  return [
    ['Jira, nothing new', listJira + 1, 1],
    ['Jira, nothing new, projects due', listJira + 1, listJira + 1],
    ['Confluence, nothing new', listConfluence + 1, 1],
    ['Confluence, nothing new, spaces due', listConfluence + 1, listConfluence + 1],
    [
      'Jira, full',
      listJira + 1 + sum(toPages(issues, 5_000)) + fetchIssues,
      listJira + 1 + fetchIssues
    ],
    [
      'Confluence, full',
      listConfluence + sum(toPages(pages, 250)),
      listConfluence + sum(toPages(pages, 250))
    ]
  ]
}

const largeCosts = listRunCosts(SITE)
console.log('Points per run\n')
console.log(
  formatTable([
    ['run', 'small site: before', 'now', 'large site: before', 'now'],
    ...listRunCosts(SMALL_SITE).map(([name, before, now], i) => [
      name,
      format(before),
      format(now),
      format(largeCosts[i]?.[1] ?? 0),
      format(largeCosts[i]?.[2] ?? 0)
    ])
  ])
)
console.log(
  `\nSmall: ${JSON.stringify(SMALL_SITE)}\nLarge: ${JSON.stringify(SITE)}\n` +
    `\nIdle users on the large site, ${format(QUOTA)} points an hour\n`
)

const rows: string[][] = []
for (const users of [20, 100, 1_000]) {
  const connections = createConnections(users)
  const shares = sharePoints(connections, QUOTA, INTERVALS)
  const [jira, wiki] = [0, users].map((i) =>
    planConnection(connections[i] ?? connections[0]!, shares, INTERVALS)
  )
  const [jiraRoutine = 0, , wikiRoutine = 0, , jiraFull = 0, wikiFull = 0] = largeCosts.map(
    ([, before]) => before
  )
  const before = users * ((jiraRoutine + wikiRoutine) * 4 + (jiraFull + wikiFull) / 24)
  const wanted = sum(
    connections.map(({ costs }) => costs.routine * 4 + costs.listing + costs.full / 24)
  )
  const { ages, hourly } = simulate(users, values.quick ? 3 : 14)
  const worst = (kind: 'routine' | 'listing' | 'full') => Math.max(...ages.map((age) => age[kind]))
  rows.push([
    format(users),
    format(before),
    format(wanted),
    format(sum(hourly) / hourly.length),
    format(Math.max(...hourly)),
    `${formatMinutes(jira?.routineMs ?? 0)}, ${formatMinutes(jira?.freshWithinMs ?? 0)}`,
    `${formatMinutes(median(ages.map(({ routine }) => routine)))}, ${formatMinutes(worst('routine'))}`,
    `${formatHours(jira?.listingMs ?? 0)}, ${formatHours(wiki?.listingMs ?? 0)}`,
    formatHours(worst('listing')),
    `${formatDays(jira?.fullMs ?? 0)}, ${formatDays(wiki?.fullMs ?? 0)}`,
    formatDays(worst('full'))
  ])
}
console.log(
  formatTable([
    [
      'users',
      'wanted/h before',
      'wanted/h now',
      'used/h',
      'busiest hour',
      'changes: interval, fresh_within',
      'oldest: median, worst',
      'listing: Jira, Confluence',
      'worst',
      'full: Jira, Confluence',
      'worst'
    ],
    ...rows
  ])
)

console.log(
  '\nIdle users on the small site, for docs/operations/size.md (the longer of both products)\n'
)
console.log(
  formatTable([
    ['users', 'first copy of all', 'changes', 'projects, spaces', 'full run'],
    ...[100, 1_000, 10_000].map((users) => {
      const connections = createConnections(users, SMALL_SITE)
      const shares = sharePoints(connections, QUOTA, INTERVALS)
      const plans = [0, users].map((i) =>
        planConnection(connections[i] ?? connections[0]!, shares, INTERVALS)
      )
      const longest = (key: 'routineMs' | 'listingMs' | 'fullMs') =>
        Math.max(...plans.map((plan) => plan[key]))
      return [
        format(users),
        formatHours((sum(connections.map(({ costs }) => costs.full)) / (QUOTA * 0.9)) * HOUR_MS),
        formatMinutes(longest('routineMs')),
        formatHours(longest('listingMs')),
        formatDays(longest('fullMs'))
      ]
    })
  ])
)
