interface AllowedProblem {
  query: RegExp
  problem: RegExp
  reason: string
}

/** What is known and borne, and why. */
const ALLOWED_PROBLEMS: AllowedProblem[] = [
  {
    query: /updated_since|, q$/,
    problem: /^reads/,
    reason:
      "reads one owner's rows: a part of a text has no index, and one by time would cost every copy"
  },
  {
    query: /^connections: list$/,
    problem: /^sorts$/,
    reason: 'sorts the two products of one user'
  },
  { query: /^keys: list/, problem: /^sorts$/, reason: 'sorts a handful of keys' },
  {
    query: /^grants: due/,
    problem: /^sorts$/,
    reason: 'sorts the grants that are due; SQLite takes the two halves of "or" one by one'
  },
  {
    query: /^disconnect$/,
    problem: /^scans (grants|connections)$/,
    reason: 'looks through all grants for those that nobody holds, when somebody leaves'
  },
  {
    query: /^flows: of somebody who leaves$/,
    problem: /^scans flows$/,
    reason: 'the logins of the last 70 minutes, when somebody leaves'
  },
  {
    query: /^budgets: purge$/,
    problem: /^scans budgets$/,
    reason: 'once an hour; the rows of two days'
  },
  {
    query: /^runs: purge$/,
    problem: /^scans runs$/,
    reason: 'once an hour; the planner prefers one pass over 50,000 rows to 500 look-ups'
  },
  { query: /^start: /, problem: /^scans grants$/, reason: 'once at each start' },
  { query: /^sealed: otherwise/, problem: /^scans grants$/, reason: 'only while keys are rotated' }
]

/** Why that problem of that query is borne; undefined where it is not. */
export function findAllowedReason(query: string, problem: string): string | undefined {
  return ALLOWED_PROBLEMS.find((each) => each.query.test(query) && each.problem.test(problem))
    ?.reason
}
