import { nameEndpoint } from '../lib/endpoint-name.ts'
import type { LimitScope } from './policies.ts'

/** What a call to Atlassian counts against. */
export interface CallTarget {
  /** The client id. */
  app: string
  /** The cloud id; empty for calls outside a site, which the quota does not cover. */
  site: string
  endpoint: string
  product?: string
  /** Identifies the account whose token is used. */
  account?: string
}

/** `routine` calls read changes; `bulk` calls list everything and give way to them. */
export type CallClass = 'interactive' | 'routine' | 'bulk'

export interface CallPriority {
  /** A caller waits for the answer, so the call goes before all others. */
  isInteractive: boolean
  /** The call is part of a full listing, so it goes after all others. */
  isBulk?: boolean
  signal?: AbortSignal | undefined
}

export function toCallClass({ isInteractive, isBulk = false }: CallPriority): CallClass {
  if (isInteractive) return 'interactive'
  return isBulk ? 'bulk' : 'routine'
}

/** The name of the shared row of each scope that limits the call. */
export function nameScopes({
  app,
  site,
  endpoint,
  account
}: CallTarget): Partial<Record<LimitScope, string>> {
  return {
    ...(site === '' ? {} : { app }),
    site: `${app} ${site}`,
    ...(account === undefined ? {} : { account: `${app} ${site} @${account}` }),
    endpoint: `${app} ${site} ${endpoint}`
  }
}

/** The site, or site and endpoint, that a limit covers; empty for the whole app. */
export function describeCovered({ site, endpoint }: CallTarget, scope: LimitScope): string {
  if (scope === 'app') return ''
  return scope === 'endpoint' ? `${site} ${endpoint}` : site
}

/**
 * Derives a call's site and endpoint from its URL; ids are left out of the endpoint.
 *
 * @param account identifies the account whose token is used
 */
export function toCallTarget(
  app: string,
  method: string,
  url: string,
  account?: string
): CallTarget {
  const { product, cloudId, endpoint } = nameEndpoint(method, url)
  return {
    app,
    site: cloudId,
    endpoint,
    ...(product === '' ? {} : { product }),
    ...(account === undefined ? {} : { account })
  }
}
