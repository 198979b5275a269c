/**
 * Makes one result for each different schema. Every route is there twice (with and without /api), with HEAD beside GET, and
 * answers with the same problems: compiling each of those anew would take a third of the start.
 */
export function memoizeBySchema<Result>(
  compile: (schema: object) => Result
): (schema: object) => Result {
  const cache = new Map<string, Result>()
  return (schema) => {
    const key = JSON.stringify(schema)
    const result = cache.get(key) ?? compile(schema)
    cache.set(key, result)
    return result
  }
}
