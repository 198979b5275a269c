interface Exception { engine?: string, query: RegExp, problem: RegExp, reason: string }

/** What is known and borne, and why. */
const EXCEPTIONS: Exception[] = []

/** Why that problem of that query is borne; undefined where it is not. */
export function accepted (engine: string, query: string, problem: string): string | undefined {
  return EXCEPTIONS.find((each) => (each.engine ?? engine) === engine && each.query.test(query) && each.problem.test(problem))?.reason
}
