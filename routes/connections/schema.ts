import { Type, type Static, type TObject } from '@sinclair/typebox'
import { exampleProvider } from '../../src/providers/index.ts'
import type { Provider } from '../../src/providers/provider.ts'
import type { ProviderRegistry } from '../../src/providers/registry.ts'
import { CONNECTION_STATES } from '../../src/model/states.ts'
import { Nullable, Timestamp, toTypeName } from '../../src/http/schemas.ts'

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
export const ConnectionStateSchema = Type.Union(
  CONNECTION_STATES.map((state) => Type.Literal(state)),
  {
    title: 'ConnectionState',
    description: [
      '`active`: works',
      '`degraded`: Atlassian fails; the next attempt is at `next_try_at`',
      '`misconfigured`: the operator has to correct the client id or secret',
      '`needs_reconnect`: the user has to connect again',
      '`needs_site`: a site has to be chosen',
      '`scope_missing`: the consent lacks scopes that the sync needs'
    ].join(' · ')
  }
)

export const SiteSchema = Type.Object(
  {
    cloud_id: Type.String(CLOUD_ID_DOCS),
    name: Type.String({ example: 'acme' }),
    url: Type.String({ example: 'https://acme.atlassian.net' })
  },
  { title: 'Site' }
)

const FeatureSchema = Type.Object(
  {
    name: Type.String({ example: 'projects' }),
    on: Type.Boolean(),
    missing: Type.Array(Type.String({ example: exampleProvider.scopes[0] }), {
      description: 'Scopes missing from the consent'
    }),
    login_url: Nullable(
      Type.String({
        description:
          'Login that requests the granted and the missing scopes; null if nothing is ' +
          'missing, or if the client is not configured to request it',
        example: `/auth/${exampleProvider.id}/login?state=user_id%3D1`
      })
    )
  },
  { title: 'Feature' }
)

const CONNECTION_FIELDS = {
  product: Type.String({ example: exampleProvider.id }),
  state: ConnectionStateSchema,
  account_id: Type.String({
    description: 'Atlassian account',
    example: '712020:1c2d3e4f-0000-4000-8000-aabbccddeeff'
  }),
  site: Nullable(SiteSchema),
  sites: Type.Array(
    Type.Composite(
      [
        SiteSchema,
        Type.Object({
          selected: Type.Boolean({ description: 'Whether the site is copied' }),
          reachable: Type.Boolean({
            description: 'Whether the consent covered the site at the last check'
          })
        })
      ],
      { title: 'ConnectionSite' }
    )
  ),
  features: Type.Array(FeatureSchema),
  scopes: Type.Array(Type.String({ example: exampleProvider.scopes[0] }), {
    description: 'Granted scopes'
  }),
  connected_at: Timestamp,
  last_refresh_at: Nullable(Timestamp),
  reconsent_by: Type.String({
    description: 'When the consent expires at Atlassian',
    example: '2027-11-23T12:00:00.000Z'
  }),
  next_try_at: Nullable(Timestamp),
  next_sync_at: Nullable({
    ...Timestamp,
    description: 'When the next scheduled sync starts'
  }),
  fresh_within: Nullable(
    Type.Integer({
      description:
        'Seconds until a change at Atlassian is copied, at most; full runs can add to it. ' +
        'Null: no schedule copies changes',
      example: 1_050
    })
  ),
  held_deletions: Type.Array(
    Type.Object(
      {
        collection: Type.String({ example: 'pages' }),
        site: Type.String(CLOUD_ID_DOCS),
        count: Type.Integer({
          description: 'Items that were missing from a listing that shrank too much',
          example: 120
        }),
        since: Timestamp
      },
      { title: 'HeldDeletions' }
    ),
    { description: 'Deletions on hold until they are confirmed, or the next full listing agrees' }
  ),
  last_error: Nullable(
    Type.String({ description: 'Sentence for people', example: 'Atlassian cannot be reached.' })
  )
}

/** A connection. Options of other products are absent. */
export function createConnectionSchema({ all }: ProviderRegistry) {
  const options = all.flatMap((provider) => [...provider.options])
  return Type.Object(
    {
      ...CONNECTION_FIELDS,
      ...Object.fromEntries(
        options.map(({ name, responseDescription }) => [
          name,
          Type.Optional(Type.Boolean({ description: responseDescription }))
        ])
      )
    },
    { title: 'Connection' }
  )
}
export type ConnectionResponse = Static<TObject<typeof CONNECTION_FIELDS>>

export const createConnectionListSchema = (providers: ProviderRegistry) =>
  Type.Object(
    { connections: Type.Array(createConnectionSchema(providers)) },
    { title: 'ConnectionList' }
  )

export const SiteBody = Type.Object(
  {
    cloud_id: Type.Optional(CloudIdSchema),
    cloud_ids: Type.Optional(
      Type.Array(CloudIdSchema, {
        minItems: 1,
        maxItems: 100,
        uniqueItems: true,
        description: 'Several sites, all of them copied'
      })
    )
  },
  { title: 'SiteBody', additionalProperties: false, minProperties: 1, maxProperties: 1 }
)

export const HistoryResponse = Type.Array(
  Type.Object(
    {
      id: Type.Integer({ minimum: 1, example: 1 }),
      at: Timestamp,
      from: Nullable(ConnectionStateSchema),
      to: ConnectionStateSchema,
      code: Nullable(Type.String({ example: 'upstream_unreachable' })),
      detail: Nullable(Type.String({ example: 'Atlassian cannot be reached.' }))
    },
    { title: 'ConnectionStateChange' }
  )
)

/** What happens to the copied items on disconnect. */
export const CopiesParameter = Type.Optional(
  Type.Unsafe<'keep' | 'erase'>({
    type: 'string',
    enum: ['keep', 'erase'],
    default: 'erase',
    description: 'What happens to the copied items'
  })
)

export const RemoveAppUrlSchema = Type.String({
  description: 'Page at Atlassian where the user revokes access; Atlassian has no API for it',
  example: 'https://id.atlassian.com/manage-profile/apps'
})

export const DisconnectResponse = Type.Object(
  {
    product: Type.String({ example: exampleProvider.id }),
    copies: Type.Union([Type.Literal('kept'), Type.Literal('erased')]),
    tokens: Type.Union([Type.Literal('erased'), Type.Literal('kept')], {
      description: '`kept`: another connection uses the same grant'
    }),
    remove_app_url: RemoveAppUrlSchema
  },
  { title: 'DisconnectResult' }
)

/** The options of a connection. A product without options accepts an empty object only. */
export const createOptionsBody = ({ id, options }: Provider) =>
  Type.Object(
    Object.fromEntries(
      options.map(({ name, description }) => [
        name,
        Type.Optional(Type.Boolean({ description, example: true }))
      ])
    ),
    {
      title: `${toTypeName(id)}ConnectionOptions`,
      additionalProperties: false,
      minProperties: Math.min(1, options.length)
    }
  )
