import { Type, type Static } from '@sinclair/typebox'
import { Nullable, Timestamp } from '../../src/http/schemas.ts'

const CLOUD_ID_DOCS = {
  description: "A site's cloudId",
  example: '8f0c1d3e-2222-4b4b-9a9a-000000000001'
}
const CloudIdSchema = Type.String({
  minLength: 36,
  maxLength: 36,
  format: 'text',
  ...CLOUD_ID_DOCS
})
const CONNECTION_STATES = [
  'active',
  'degraded',
  'misconfigured',
  'needs_reconnect',
  'needs_site',
  'scope_missing'
] as const
const ConnectionStateSchema = Type.Union(
  CONNECTION_STATES.map((state) => Type.Literal(state)),
  {
    description:
      'active: works · degraded: Atlassian has trouble, next_try_at says when it is asked again, nobody has to act · misconfigured: the operator has to correct the client id or secret · needs_reconnect: the person has to connect again · needs_site: a site has to be chosen · scope_missing: the consent lacks what the copies need'
  }
)

const SiteSchema = Type.Object({
  cloud_id: Type.String(CLOUD_ID_DOCS),
  name: Type.String({ example: 'acme' }),
  url: Type.String({ example: 'https://acme.atlassian.net' })
})

const FeatureSchema = Type.Object({
  name: Type.String({ example: 'projects' }),
  on: Type.Boolean(),
  missing: Type.Array(Type.String({ example: 'read:jira-work' }), {
    description: 'Scopes that the consent lacks'
  }),
  login_url: Nullable(
    Type.String({
      description:
        'A login that asks for what is held and what is missing; null where nothing is missing, or where this service is not set up to ask for it',
      example: '/auth/jira/login?state=user_id%3D1&scope=read%3Ajira-work%20offline_access'
    })
  )
})

export const ConnectionResponse = Type.Object({
  product: Type.String({ example: 'jira' }),
  state: ConnectionStateSchema,
  account_id: Type.String({
    description: 'The Atlassian account behind it',
    example: '712020:1c2d3e4f-0000-4000-8000-aabbccddeeff'
  }),
  site: Nullable(SiteSchema),
  sites: Type.Array(
    Type.Composite([
      SiteSchema,
      Type.Object({
        selected: Type.Boolean({ description: 'It is copied' }),
        reachable: Type.Boolean({ description: 'The consent reached it when it was last asked' })
      })
    ])
  ),
  features: Type.Array(FeatureSchema),
  scopes: Type.Array(Type.String({ example: 'read:jira-work' }), {
    description: 'What was consented to'
  }),
  connected_at: Timestamp,
  last_refresh_at: Nullable(Timestamp),
  reconsent_by: Type.String({
    description: 'When Atlassian will want a new consent',
    example: '2027-11-23T12:00:00.000Z'
  }),
  next_try_at: Nullable(Timestamp),
  next_sync_at: Nullable({
    ...Timestamp,
    description: 'When it is copied next without anybody asking'
  }),
  page_bodies: Type.Boolean({ description: 'Copies of pages have their bodies' }),
  held_deletions: Type.Array(
    Type.Object({
      collection: Type.String({ example: 'pages' }),
      site: Type.String(CLOUD_ID_DOCS),
      count: Type.Integer({
        description: 'Items that a listing that shrank too much did not show',
        example: 120
      }),
      since: Timestamp
    }),
    { description: 'Held back until they are confirmed or the next full listing agrees' }
  ),
  last_error: Nullable(
    Type.String({ description: 'A sentence', example: 'Atlassian cannot be reached.' })
  )
})
export type ConnectionResponse = Static<typeof ConnectionResponse>

export const ConnectionListResponse = Type.Object({ connections: Type.Array(ConnectionResponse) })

export const SiteBody = Type.Object(
  {
    cloud_id: Type.Optional(CloudIdSchema),
    cloud_ids: Type.Optional(
      Type.Array(CloudIdSchema, {
        minItems: 1,
        maxItems: 100,
        uniqueItems: true,
        description: 'Several sites: all of them are copied'
      })
    )
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1 }
)

export const HistoryResponse = Type.Array(
  Type.Object({
    id: Type.Integer({ minimum: 1, example: 1 }),
    at: Timestamp,
    from: Nullable(ConnectionStateSchema),
    to: ConnectionStateSchema,
    code: Nullable(Type.String({ example: 'upstream_unreachable' })),
    detail: Nullable(Type.String({ example: 'Atlassian cannot be reached.' }))
  })
)

/** What happens to what was copied when somebody leaves. */
export const CopiesParameter = Type.Optional(
  Type.Unsafe<'keep' | 'erase'>({
    type: 'string',
    enum: ['keep', 'erase'],
    default: 'erase',
    description: 'What becomes of the copies'
  })
)

export const RemoveAppUrlSchema = Type.String({
  description:
    'Where the person takes the access away at Atlassian, which has no address for programs to do so',
  example: 'https://id.atlassian.com/manage-profile/apps'
})

export const DisconnectResponse = Type.Object({
  product: Type.String({ example: 'jira' }),
  copies: Type.Union([Type.Literal('kept'), Type.Literal('erased')]),
  tokens: Type.Union([Type.Literal('erased'), Type.Literal('kept')], {
    description: 'kept: another connection lives on the same consent'
  }),
  remove_app_url: RemoveAppUrlSchema
})

export const ConnectionOptionsBody = Type.Object(
  {
    page_bodies: Type.Optional(
      Type.Boolean({
        description:
          'Copy the bodies of pages too (Confluence): storage format and plain text. A change takes a full copy',
        example: true
      })
    )
  },
  { additionalProperties: false, minProperties: 1 }
)
