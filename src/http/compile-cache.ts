/**
 * Makes one result for each different schema. Every route is there twice (with and without /api), with HEAD beside GET, and
 * answers with the same problems: compiling each of those anew would take a third of the start.
 */
export function oncePerSchema<Result>(
  make: (schema: object) => Result
): (schema: object) => Result {
  const made = new Map<string, Result>()
  return (schema) => {
    const key = JSON.stringify(schema)
    const result = made.get(key) ?? make(schema)
    made.set(key, result)
    return result
  }
}
