import { Type, type Static } from '@sinclair/typebox'
import type { QuotaReport } from '../rate-budget/limits-report.ts'
import { Nullable, Timestamp } from './schemas.ts'

/** An hourly quota of points (docs/reference/atlassian.md#101-limits). */
export const QuotaSchema = Type.Object(
  {
    quota: Type.Integer({ description: 'Points per hour', example: 65_000 }),
    quota_source: Type.Union([Type.Literal('setting'), Type.Literal('header')], {
      description: '`header`: Atlassian named it (`RateLimit-Policy`)'
    }),
    used: Type.Integer({
      description: 'Points of this hour: counted, and corrected by what Atlassian reports',
      example: 4_120
    }),
    remaining: Type.Integer({ example: 60_880 }),
    next_reset: Timestamp,
    blocked_until: Nullable(Timestamp)
  },
  { title: 'PointQuota' }
)

export function toQuotaResponse(report: QuotaReport): Static<typeof QuotaSchema> {
  return {
    quota: report.limit,
    quota_source: report.isReported ? 'header' : 'setting',
    used: report.used,
    remaining: report.remaining,
    next_reset: new Date(report.resetAt).toISOString(),
    blocked_until: report.blockedUntil?.toISOString() ?? null
  }
}
