import type { SandboxResponse } from './answer.ts'
import type { HiddenItems } from '../data/restrictions.ts'
import type { ScopeRequirement } from '../oauth/scopes.ts'
import type { SandboxSite } from '../data/sites.ts'
import type { SandboxUser } from '../oauth/users.ts'
import type { SandboxState } from '../state.ts'

/** A call that has passed the gateway. */
export interface GatewayCall {
  state: SandboxState
  site: SandboxSite
  user: SandboxUser
  /** What the person may not see of the site; undefined when nothing is hidden. */
  hiddenItems: HiddenItems | undefined
  /** What the parentheses of the endpoint's pattern caught, decoded. */
  params: string[]
  query: URLSearchParams
  /** Parsed JSON, or undefined when there was none. */
  body: unknown
  /** Gateway address of this product and site, without a slash at the end. */
  base: string
  /** The path below it. */
  path: string
}

/** One call of a product's API. */
export interface GatewayEndpoint {
  method: string
  path: RegExp
  /** Readable form of the pattern, for counts and burst buckets. */
  label: string
  scopes: ScopeRequirement
  handle: (call: GatewayCall) => SandboxResponse
}

/** `/rest/api/3/issue/{id}` → an expression that catches the id. Versions 2 and 3 of Jira share theirs. */
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

/** Repeated or separated by commas: `id=1&id=2` or `id=1,2`. */
export function parseListParam(query: URLSearchParams, name: string): string[] {
  return query
    .getAll(name)
    .flatMap((value) => value.split(','))
    .map((value) => value.trim())
    .filter((value) => value !== '')
}

/** @returns the default when absent, NaN when it is not a whole number */
export function parseIntegerParam(text: string | null, defaultValue: number): number {
  if (text === null || text === '') return defaultValue
  return /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN
}
