export type JsonSchema = Record<string, any>

/**
 * Replaces every reference by its target. Each target is resolved once, so equal references
 * share one object.
 */
export function dereference<T>(document: T): T {
  const resolved = new Map<string, unknown>()

  function resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(resolve)
    if (typeof value !== 'object' || value === null) return value
    const { $ref } = value as { $ref?: unknown }
    if (typeof $ref !== 'string') {
      return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, resolve(child)]))
    }
    if (!resolved.has($ref)) resolved.set($ref, resolve(findTarget($ref)))
    return resolved.get($ref)
  }

  function findTarget(ref: string): unknown {
    const target = ref
      .split('/')
      .slice(1)
      .reduce<any>((parent, key) => parent?.[key], document)
    if (target === undefined) throw new Error(`${ref} does not exist.`)
    return target
  }

  return resolve(document) as T
}
