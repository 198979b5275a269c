import { Type } from '@sinclair/typebox'
import { exampleProvider } from '../../src/providers/index.ts'
import { QuotaSchema } from '../../src/http/quota-schema.ts'
import { Nullable, Timestamp } from '../../src/http/schemas.ts'

const SiteId = Type.String({
  description: "A site's cloudId",
  example: '8f0c1d3e-2222-4b4b-9a9a-000000000001'
})

const EXAMPLE_ENDPOINT = `GET ${exampleProvider.id}/rest/api/3/project/search`

const BlockSchema = Type.Object(
  {
    scope: Type.String({
      description:
        '`app`, `site`, `account` (one account at one site), `endpoint` (of one site), or `pace`: ' +
        'syncs, which are spaced near the end of the quota',
      example: 'app'
    }),
    site: Nullable(SiteId),
    endpoint: Nullable(Type.String({ example: EXAMPLE_ENDPOINT })),
    reason: Nullable(
      Type.String({ description: 'As Atlassian named it', example: 'global-app-quota' })
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
          points: Type.Integer({ example: 3_100 })
        },
        { title: 'ProductPoints' }
      )
    ),
    points: QuotaSchema,
    sites: Type.Array(
      Type.Object(
        {
          cloud_id: SiteId,
          used: Type.Integer({ example: 4_120 }),
          points: Nullable(QuotaSchema)
        },
        {
          title: 'SiteLimits',
          description: '`points` is null unless Atlassian reports a quota for this site alone'
        }
      )
    ),
    blocks: Type.Array(BlockSchema)
  },
  { title: 'AppLimits' }
)

const DeprecationSchema = Type.Object(
  {
    endpoint: Type.String({ example: EXAMPLE_ENDPOINT }),
    deprecation: Nullable(Type.String({ example: '@1688169599' })),
    sunset: Nullable(Type.String({ example: 'Sat, 31 Jan 2027 23:59:59 GMT' })),
    warning: Nullable(Type.String({ example: '299 - "This resource is deprecated"' })),
    first_seen_at: Timestamp,
    last_seen_at: Timestamp
  },
  { title: 'UpstreamDeprecation' }
)

const VaultKeySchema = Type.Object(
  {
    id: Type.String({ example: 'k20261125-24b2c07d' }),
    current: Type.Boolean({ description: 'Whether this instance encrypts with it' }),
    uses: Type.Integer({
      description: 'Encryptions by all instances; each one counts up to some hundred in advance',
      example: 48_211
    }),
    max_uses: Type.Integer({ description: 'At this number the key must be replaced' })
  },
  { title: 'VaultKeyUses' }
)

export const LimitsResponse = Type.Object(
  {
    apps: Type.Array(AppLimitsSchema),
    deprecations: Type.Array(DeprecationSchema, {
      description: 'Announced by Atlassian, as seen by this instance'
    }),
    vault_keys: Type.Array(VaultKeySchema)
  },
  { title: 'Limits' }
)
