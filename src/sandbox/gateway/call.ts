import type { Answer } from './answer.ts'
import type { Hidden } from '../data/restrictions.ts'
import type { Rule } from '../oauth/scopes.ts'
import type { Site } from '../data/sites.ts'
import type { User } from '../oauth/users.ts'
import type { World } from '../state.ts'

/** A call that has passed the gateway. */
export interface Call {
  world: World
  site: Site
  user: User
  /** What the person may not see of the site; undefined when nothing is hidden. */
  hidden: Hidden | undefined
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
export interface Endpoint {
  method: string
  path: RegExp
  /** Readable form of the pattern, for counts and burst buckets. */
  label: string
  scopes: Rule
  run: (call: Call) => Answer
}

/** `/rest/api/3/issue/{id}` → an expression that catches the id. Versions 2 and 3 of Jira share theirs. */
export function endpoint(
  method: string,
  label: string,
  scopes: Rule,
  run: Endpoint['run']
): Endpoint {
  const pattern = label
    .replaceAll(/[.]/g, '\\$&')
    .replace('/api/3/', '/api/[23]/')
    .replaceAll(/\{\w+\}/g, '([^/]+)')
    .replace('/**', '(?:/.*)?')
  return { method, label: `${method} ${label}`, path: new RegExp(`^${pattern}$`), scopes, run }
}

/** Repeated or separated by commas: `id=1&id=2` or `id=1,2`. */
export function list(query: URLSearchParams, name: string): string[] {
  return query
    .getAll(name)
    .flatMap((value) => value.split(','))
    .map((value) => value.trim())
    .filter((value) => value !== '')
}

/** @returns the default when absent, NaN when it is not a whole number */
export function whole(text: string | null, otherwise: number): number {
  if (text === null || text === '') return otherwise
  return /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN
}
