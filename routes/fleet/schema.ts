import { Type } from '@sinclair/typebox'
import { Id, Nullable, Timestamp } from '../../src/http/schemas.ts'
import { exampleProvider } from '../../src/providers/index.ts'
import { ConnectionStateSchema, SiteSchema } from '../connections/schema.ts'
import { RunStateSchema } from '../integrations/run-view.ts'
import { UserResponse } from '../users/schema.ts'

const FleetConnectionSchema = Type.Object(
  {
    id: Id,
    user: UserResponse,
    product: Type.String({ example: exampleProvider.id }),
    state: ConnectionStateSchema,
    error: Nullable(
      Type.Object(
        {
          code: Type.String({ example: 'upstream_timeout' }),
          detail: Type.String({ example: 'Atlassian did not respond in time.' })
        },
        { title: 'ConnectionError', description: 'Why the state is not `active`' }
      )
    ),
    account_id: Type.String({ example: '712020:1c2d3e4f-0000-4000-8000-aabbccddeeff' }),
    sites: Type.Array(SiteSchema, { description: 'The sites that are copied' }),
    connected_at: Timestamp,
    reconsent_by: Timestamp,
    last_refresh_at: Nullable(Timestamp),
    next_try_at: Nullable(Timestamp),
    next_sync_at: Nullable(Timestamp),
    last_run: Nullable(
      Type.Object(
        {
          id: Id,
          state: RunStateSchema,
          error_code: Nullable(Type.String({ example: 'upstream_timeout' })),
          finished_at: Nullable(Timestamp)
        },
        { title: 'LastRun' }
      )
    )
  },
  { title: 'FleetConnection' }
)

const createCountsSchema = (title: string, example: object) =>
  Type.Record(Type.String(), Type.Integer({ minimum: 0 }), { title, examples: [example] })

export const FleetConnections = Type.Object(
  {
    connections: Type.Array(FleetConnectionSchema),
    counts: Nullable(
      Type.Object(
        {
          total: Type.Integer({ minimum: 0, example: 3 }),
          by_state: createCountsSchema('CountsByState', { active: 2, needs_reconnect: 1 }),
          by_product: createCountsSchema('CountsByProduct', { [exampleProvider.id]: 3 })
        },
        {
          title: 'ConnectionCounts',
          description: 'Of all connections that match; null on later pages'
        }
      )
    )
  },
  { title: 'FleetConnections' }
)

const createTextFilter = (description: string, example: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 255, format: 'text', description, example }))

export const createEnumFilter = <Value extends string>(values: readonly Value[]) =>
  Type.Optional(Type.Unsafe<Value>({ type: 'string', enum: values }))

export const SiteFilter = createTextFilter(
  'Cloud id, name or address of a site that the connection covers',
  'acme.atlassian.net'
)
export const TextFilter = createTextFilter(
  "Part of the person's email address or name, or of a site's name or address",
  'ada@'
)
