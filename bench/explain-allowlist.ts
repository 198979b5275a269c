interface AllowedProblem {
  query: RegExp
  problem: RegExp
  reason: string
}

/** Accepted problems and the reasons. */
const ALLOWED_PROBLEMS: AllowedProblem[] = [
  {
    query: /updated_since|, q$/,
    problem: /^reads/,
    reason:
      "reads one owner's rows: substrings have no index, and an index by time would slow every copy"
  },
  {
    query: /^connections: list$/,
    problem: /^sorts$/,
    reason: 'sorts the two products of one user'
  },
  {
    query: /^fleet: runs (of an owner|that wait)$/,
    problem: /^sorts$/,
    reason: 'sorts the runs of one owner, and the active runs'
  },
  {
    query: /^fleet: (counts|connections by text|connections that need|connections, a later page)/,
    problem: /^(scans|sorts|reads)/,
    reason:
      'once per request of an operator: counts and substrings read every connection, a state and a ' +
      'product at most the connections up to the end of the page'
  },
  { query: /^keys: list/, problem: /^sorts$/, reason: 'sorts a handful of keys' },
  {
    query: /^grants: due/,
    problem: /^sorts$/,
    reason: 'sorts the due grants; SQLite evaluates the two branches of "or" separately'
  },
  {
    query: /^disconnect$/,
    problem: /^scans (grants|connections)$/,
    reason: 'scans all grants for those without a connection, once per disconnect'
  },
  {
    query: /^flows: delete for a user$/,
    problem: /^scans flows$/,
    reason: 'reads the logins of the last 70 minutes, once per erasure'
  },
  {
    query: /^budgets: purge$/,
    problem: /^scans budgets$/,
    reason: 'once an hour, over the rows of two days'
  },
  {
    query: /^runs: purge$/,
    problem: /^scans runs$/,
    reason: 'once an hour; the planner prefers one pass over 50,000 rows to 500 look-ups'
  },
  { query: /^start: /, problem: /^scans grants$/, reason: 'once at each start' },
  {
    query: /^encrypted: with another key/,
    problem: /^scans grants$/,
    reason: 'only while keys are rotated'
  }
]

/** Returns why the problem of the query is accepted; undefined if it is not. */
export function findAllowedReason(query: string, problem: string): string | undefined {
  return ALLOWED_PROBLEMS.find((each) => each.query.test(query) && each.problem.test(problem))
    ?.reason
}
