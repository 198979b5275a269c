import type { RATE_VARIANTS } from '../answers/rules.ts'
import type { SandboxResponse } from './answer.ts'

export const QUOTA_VARIANTS = [
  'global',
  'tenant',
  'gateway',
  'beta',
  'unavailable',
  'no_retry_after',
  'only_t'
] as const
export type QuotaVariant = (typeof QUOTA_VARIANTS)[number]
export const BURST_VARIANTS = ['standard', 'reset-only', 'bare'] as const
export type BurstVariant = (typeof BURST_VARIANTS)[number]
export type RateVariant = (typeof RATE_VARIANTS)[number]

/** The points of one policy in this hour. */
interface QuotaState {
  quota: number
  used: number
}

/** The quota policies that apply to a call. */
export interface QuotaPolicies {
  global?: QuotaState
  tenant?: QuotaState
}

type Headers = Record<string, string>

const HOUR_MS = 3_600_000
const WINDOW_S = 3600
/** From this share of the quota on, headers tell what is left. */
const REPORTED_SHARE = 0.8
const POLICY_NAMES = { global: 'global-app-quota', tenant: 'tenant-app-quota' } as const
const TOO_MANY_BODY = { message: 'Rate limit exceeded' }

/** ISO 8601 without seconds, as Atlassian sends it. */
function formatMinute(time: number): string {
  return new Date(time).toISOString().slice(0, 16) + 'Z'
}

function nextHourStart(now: number): number {
  return (Math.floor(now / HOUR_MS) + 1) * HOUR_MS
}

function secondsLeft(now: number): number {
  return Math.ceil((nextHourStart(now) - now) / 1000)
}

export function bucketHeaders(burst: number, remaining: number): Headers {
  return {
    'X-RateLimit-Limit': String(burst),
    'X-RateLimit-Remaining': String(Math.max(0, Math.floor(remaining)))
  }
}

/**
 * `RateLimit-Policy` and `RateLimit` (docs/reference/atlassian.md#103-headers). With both quotas
 * the burst policy is there too, and the headers differ in their order.
 */
export function policyHeaders(
  policies: QuotaPolicies,
  bucket: { burst: number; remaining: number },
  now: number
): Headers {
  const entries = (['tenant', 'global'] as const).flatMap((name) => {
    const state = policies[name]
    return state === undefined ? [] : [{ name: POLICY_NAMES[name], ...state }]
  })
  const policy = entries.map(({ name, quota }) => `"${name}";q=${quota};w=${WINDOW_S}`)
  const limits = entries.map(({ name, quota, used }, index) => {
    const left = used < quota * REPORTED_SHARE ? [] : [`r=${Math.max(0, quota - used)}`]
    const params = [...left, `t=${secondsLeft(now)}`]
    return [`"${name}"`, ...(index === 0 ? params : params.reverse())].join(';')
  })
  if (entries.length > 1) {
    const left = Math.max(0, Math.floor(bucket.remaining))
    policy.push(`"jira-burst-based";q=${bucket.burst};w=1`)
    limits.reverse().unshift(`"jira-burst-based";r=${left};t=1`)
  }
  const isNear = entries.some(({ quota, used }) => used >= quota * REPORTED_SHARE)
  return {
    'RateLimit-Policy': policy.join(', '),
    RateLimit: limits.join(', '),
    ...(isNear && { 'X-RateLimit-NearLimit': 'true' })
  }
}

/** The same before Atlassian enforces the quota. */
export function toBetaHeaders(headers: Headers): Headers {
  return Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => name.startsWith('RateLimit'))
      .map(([name, value]) => [`Beta-${name}`, value])
  )
}

export function oldBetaHeaders(product: string, now: number): Headers {
  return {
    'X-Beta-RateLimit-Reason': `${product}-quota-tenant-based`,
    'X-Beta-RateLimit-NearLimit': 'true',
    'X-Beta-RateLimit-Reset': formatMinute(nextHourStart(now)),
    'Beta-Retry-After': String(WINDOW_S)
  }
}

/** The reasons seen live; Confluence does not use the documented name for the app's quota. */
function quotaReason(product: string, scope: 'tenant' | 'global'): string {
  return product === 'confluence' && scope === 'global'
    ? 'conf-global-based'
    : `${product}-quota-${scope}-based`
}

export function buildQuotaRefusal(
  { variant, reason }: { variant: QuotaVariant; reason?: string | undefined },
  {
    product,
    now,
    quota,
    hasPolicies
  }: { product: string; now: number; quota: number; hasPolicies: boolean }
): SandboxResponse {
  const reset = { 'X-RateLimit-Reset': formatMinute(nextHourStart(now)) }
  const scope = variant === 'tenant' ? 'tenant' : 'global'
  const limit = { RateLimit: `"${POLICY_NAMES[scope]}";r=0;t=${secondsLeft(now)}` }
  if (variant === 'unavailable') {
    return {
      status: 503,
      body: { message: 'Service Unavailable' },
      headers: { 'Retry-After': '30' }
    }
  }
  if (variant === 'only_t') return { status: 429, body: '', headers: limit }
  if (variant === 'gateway') {
    const headers = {
      'X-Failure-Category': 'FAILURE_CLIENT_RATE_LIMIT',
      'X-RateLimit-Limit': '360000',
      'X-RateLimit-Remaining': '0',
      ...reset
    }
    return { status: 429, body: '', headers }
  }
  // These seconds are the length of the window and not what is left of it: clients go by the reset time.
  const retryAfter: Headers = variant === 'no_retry_after' ? {} : { 'Retry-After': `${WINDOW_S}` }
  return {
    status: 429,
    body: TOO_MANY_BODY,
    headers: {
      ...retryAfter,
      'RateLimit-Reason': reason ?? quotaReason(product, scope),
      'X-RateLimit-Limit': String(quota),
      'X-RateLimit-Remaining': '0',
      ...reset,
      ...(hasPolicies && limit)
    }
  }
}

export function buildBurstRefusal(
  variant: BurstVariant,
  product: string,
  now: number,
  burst: number
): SandboxResponse {
  const reset = { 'X-RateLimit-Reset': new Date(now + 1000).toISOString() }
  const bucket = {
    'X-RateLimit-Limit': String(burst),
    'X-RateLimit-Remaining': '0',
    'RateLimit-Reason': `${product}-burst-based`
  }
  const headers = {
    standard: { 'Retry-After': '1', ...bucket, ...reset },
    'reset-only': { ...bucket, ...reset },
    bare: {}
  }[variant]
  return { status: 429, body: TOO_MANY_BODY, headers }
}
