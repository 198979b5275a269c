import { BURST_VARIANTS, QUOTA_VARIANTS } from '../gateway/rate-headers.ts'
import type { SandboxState } from '../state.ts'
import { readFields, requireIntegerInRange, requireOneOf, resolveSite } from './fields.ts'

const MAX_POINTS = 1_000_000_000
const DEFAULT_BURST_MS = 1000
const MAX_LAG_MS = 7 * 86_400_000

/**
 * Rejects all calls, or those to one site, until the next full hour of sandbox time; `exhaust:
 * false` ends it.
 */
export function setQuota(state: SandboxState, body: unknown) {
  const { exhaust, variant, reason, site } = readFields(body, {
    exhaust: 'boolean',
    variant: 'string?',
    reason: 'string?',
    site: 'string?'
  })
  const quotaVariant = requireOneOf(
    variant ?? (site === undefined ? 'global' : 'tenant'),
    QUOTA_VARIANTS,
    'variant'
  )
  state.limits.exhaustQuota(
    exhaust === true ? { variant: quotaVariant, reason: reason as string | undefined } : undefined,
    resolveCloudId(state, site)
  )
}

/** Rejects all calls, or those to one site, for `for_ms` of sandbox time. */
export function setBurstLimit(state: SandboxState, body: unknown) {
  const {
    exhaust,
    variant = 'standard',
    for_ms: ms = DEFAULT_BURST_MS,
    site
  } = readFields(body, {
    exhaust: 'boolean',
    variant: 'string?',
    for_ms: 'number?',
    site: 'string?'
  })
  state.limits.exhaustBurst(
    exhaust === true ? Number(ms) : 0,
    requireOneOf(variant, BURST_VARIANTS, 'variant'),
    resolveCloudId(state, site)
  )
}

/** Undefined means every site. */
function resolveCloudId(state: SandboxState, site: unknown): string | undefined {
  return site === undefined ? undefined : resolveSite(state, site).cloudId
}

/**
 * Sets the maximum lag of the search index. It also applies to changes that are not indexed yet.
 */
export function setIndexLag(state: SandboxState, body: unknown) {
  const { ms } = readFields(body, { ms: 'number' })
  requireIntegerInRange(ms, 0, MAX_LAG_MS, 'ms')
  state.setIndexLag(Number(ms))
}

/** Sets the hourly quota of every app, and what other sites have used of it in this hour. */
export function setLedger(state: SandboxState, body: unknown) {
  const { quota, used_by_others: usedByOthers } = readFields(body, {
    quota: 'number?',
    used_by_others: 'number?'
  })
  for (const [name, value] of Object.entries({ quota, used_by_others: usedByOthers })) {
    if (value !== undefined) requireIntegerInRange(value, 0, MAX_POINTS, name)
  }
  if (quota !== undefined) state.limits.ledger.setQuota(Number(quota))
  if (usedByOthers !== undefined) state.limits.ledger.setUsedByOthers(Number(usedByOthers))
}
