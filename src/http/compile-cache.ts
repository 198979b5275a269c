/**
 * Compiles a schema on its first use, and equal schemas once in a process. The first request to a
 * route pays 1-5 ms for this; a start that compiled every schema of every route would pay for all
 * of them (about half of its processor time).
 *
 * @returns for each schema, a function that gives the compiled result
 */
export function createLazyCompiler<Result>(
  compile: (schema: object) => Result
): (schema: object) => () => Result {
  const cache = new Map<string, Result>()
  return (schema) => {
    let result: Result | undefined
    return () => {
      if (result !== undefined) return result
      const key = JSON.stringify(schema)
      result = cache.get(key) ?? compile(schema)
      cache.set(key, result)
      return result
    }
  }
}
