import { Type } from '@sinclair/typebox'
import { exampleProvider } from '../../src/providers/index.ts'
import { Nullable, Timestamp } from '../../src/http/schemas.ts'

const SiteId = Type.String({
  description: "A site's cloudId",
  example: '8f0c1d3e-2222-4b4b-9a9a-000000000001'
})

const QUOTA_FIELDS = {
  quota: Type.Integer({
    description: 'Points per hour: the setting, or what Atlassian reported if that is less',
    example: 65_000
  }),
  quota_source: Type.Union([Type.Literal('setting'), Type.Literal('header')], {
    description: 'Whether `quota` is the setting or what Atlassian named (`RateLimit-Policy`)'
  }),
  used: Type.Integer({
    description:
      'Points used this hour by all instances: counted, and corrected by what Atlassian reports',
    example: 4_120
  }),
  remaining: Type.Integer({ example: 60_880 }),
  next_reset: Timestamp
}

const QuotaSchema = Type.Object(QUOTA_FIELDS, { title: 'PointQuota' })

const BlockSchema = Type.Object(
  {
    scope: Type.Union(
      ['app', 'site', 'account', 'endpoint', 'pace'].map((scope) => Type.Literal(scope)),
      {
        description:
          '`app`: every call · `site`: calls to one site · `account`: calls of one account to one ' +
          'site · `endpoint`: one endpoint of one site · `pace`: syncs, which are spaced so that ' +
          'the rest of the quota lasts until the reset'
      }
    ),
    site: Nullable(SiteId),
    endpoint: Nullable(Type.String({ example: 'GET jira/rest/api/3/project/search' })),
    reason: Nullable(
      Type.String({
        description: 'The reason or the policy, as Atlassian named it',
        example: 'jira-quota-global-based'
      })
    ),
    until: Timestamp
  },
  { title: 'RateLimitBlock' }
)

const AppLimitsSchema = Type.Object(
  {
    client_id: Type.String({ example: 'aBcD1234' }),
    products: Type.Array(
      Type.Object(
        {
          product: Type.String({ example: exampleProvider.id }),
          points: Type.Integer({ description: 'Points counted this hour', example: 3_100 })
        },
        { title: 'ProductPoints' }
      )
    ),
    ...QUOTA_FIELDS,
    sites: Type.Array(
      Type.Object(
        {
          cloud_id: SiteId,
          used: Type.Integer({ description: 'Points of this hour', example: 4_120 }),
          quota: Nullable(QuotaSchema)
        },
        {
          title: 'SiteLimits',
          description: '`quota` is null unless Atlassian reports a quota for this site alone'
        }
      )
    ),
    blocks: Type.Array(BlockSchema)
  },
  { title: 'AppLimits' }
)

const DeprecationSchema = Type.Object(
  {
    endpoint: Type.String({ example: 'GET confluence /wiki/rest/api/content' }),
    deprecation: Nullable(Type.String({ example: '@1688169599' })),
    sunset: Nullable(Type.String({ example: 'Sat, 31 Jan 2027 23:59:59 GMT' })),
    warning: Nullable(Type.String({ example: '299 - "Deprecated API"' })),
    first_seen_at: Timestamp,
    last_seen_at: Timestamp
  },
  { title: 'UpstreamDeprecation' }
)

export const LimitsResponse = Type.Object(
  {
    apps: Type.Array(AppLimitsSchema),
    deprecations: Type.Array(DeprecationSchema, {
      description: 'Endpoints that Atlassian announced to change, as seen by this instance'
    })
  },
  { title: 'Limits' }
)
