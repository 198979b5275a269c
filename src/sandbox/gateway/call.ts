import type { ScopeRequirement } from '../oauth/scopes.ts'
import type { GatewayEndpoint } from '../state.ts'

/**
 * Compiles a path such as `/rest/api/3/issue/{id}` to an expression that captures the id.
 * Versions 2 and 3 of Jira's API share their paths.
 */
export function defineEndpoint(
  method: string,
  label: string,
  scopes: ScopeRequirement,
  handle: GatewayEndpoint['handle']
): GatewayEndpoint {
  const pattern = label
    .replaceAll(/[.]/g, '\\$&')
    .replace('/api/3/', '/api/[23]/')
    .replaceAll(/\{\w+\}/g, '([^/]+)')
    .replace('/**', '(?:/.*)?')
  return { method, label: `${method} ${label}`, path: new RegExp(`^${pattern}$`), scopes, handle }
}

/** Reads a repeated or comma-separated parameter: `id=1&id=2` or `id=1,2`. */
export function parseListParam(query: URLSearchParams, name: string): string[] {
  return query
    .getAll(name)
    .flatMap((value) => value.split(','))
    .map((value) => value.trim())
    .filter((value) => value !== '')
}

/** @returns the default if absent, NaN if it is not a whole number */
export function parseIntegerParam(text: string | null, defaultValue: number): number {
  if (text === null || text === '') return defaultValue
  return /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN
}
