import { Type, type TSchema } from '@sinclair/typebox'
import { Nullable } from '../lib/typebox.ts'
import { SYNC_STATES, type SyncState } from '../model/states.ts'
import { exampleProvider } from '../providers/index.ts'

export { Nullable, OptionalText } from '../lib/typebox.ts'

/**
 * Schemas that several routes share. Each is validation, type and documentation at once; its
 * `title` is its name in the OpenAPI document.
 */

/**
 * Ids are positive 53-bit integers. In paths and queries plugins/validation.ts reads them from
 * text, in decimal only.
 */
export const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, example: 1 })

export const PaginationParameters = {
  limit: Type.Integer({
    minimum: 1,
    maximum: 1000,
    default: 1000,
    description: 'Maximum number of entries'
  }),
  cursor: Type.Optional(
    Type.String({
      maxLength: 12_288,
      description: 'Position of the next page, from the `Link` header of the previous one'
    })
  )
}

/** A time, as responses have it. */
export const Timestamp = Type.String({
  description: 'ISO 8601, UTC',
  example: '2026-11-23T12:00:00.000Z'
})

export const TOTAL_DESCRIPTION = 'Items with the same filters, on all pages'
export const AS_OF_DESCRIPTION =
  'Start of the latest complete listing or incremental read, ISO 8601, UTC: what was changed at ' +
  'Atlassian before is in the list. None until every site was listed to its end'
export const SYNC_STATE_DESCRIPTION =
  '`never`: nothing was ever copied · `copying`: the first listing is not complete and a run is ' +
  'active · `complete`: every site was listed to its end · `partial`: items failed, or a site was ' +
  'not listed to its end · `held`: items may be gone at Atlassian, and their deletion waits for a ' +
  'decision'

/** How complete a list of items is: members beside `items`, and headers. */
export const ListInfo = {
  total: Type.Integer({ minimum: 0, description: TOTAL_DESCRIPTION, example: 2_500 }),
  as_of: Nullable(
    Type.String({ description: AS_OF_DESCRIPTION, example: '2026-11-23T12:00:00.000Z' })
  ),
  sync_state: Type.Unsafe<SyncState>({
    type: 'string',
    enum: [...SYNC_STATES],
    description: SYNC_STATE_DESCRIPTION
  })
}

/** No body: the version that If-None-Match names is still current. */
export const NotModified = Type.Null({
  description: 'Unchanged since the response that If-None-Match names'
})

/** A request body that may be left out, and has no fields. */
export const EmptyBody = Type.Union([
  Type.Null(),
  Type.Object({}, { title: 'EmptyBody', additionalProperties: false })
])

/** `issues` → `Issues`: a part of operation ids and schema names. */
export function toTypeName(name: string): string {
  return name
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')
}

/** `issues` → `Issue`, `repositories` → `Repository`: the schema name of one item of a collection. */
export function toItemTypeName(collection: string): string {
  return toTypeName(collection.replace(/ies$/, 'y').replace(/s$/, ''))
}

/** Which of an OAuth client's three settings are missing. */
export const MissingClientSettings = Type.Object(
  {
    client_id: Type.Boolean(),
    client_secret: Type.Boolean(),
    redirect_uri: Type.Boolean()
  },
  { title: 'MissingClientSettings' }
)

/** RFC 9457. */
const Problem = Type.Object(
  {
    type: Type.String({ example: 'about:blank' }),
    title: Type.String({ example: 'Not Found' }),
    status: Type.Integer({ example: 404 }),
    detail: Type.String({ description: 'Sentence for people', example: 'No user has this id.' }),
    code: Type.String({ description: 'Stable error code for programs', example: 'user_not_found' }),
    request_id: Type.String({
      description: 'Also in X-Request-ID and in every log line of the request',
      example: 'my-debug-123'
    }),
    errors: Type.Optional(
      Type.Array(
        Type.Object(
          {
            pointer: Type.String({ description: 'JSON pointer (RFC 6901)', example: '/email' }),
            detail: Type.String({ example: 'Unknown field.' })
          },
          { title: 'FieldError' }
        )
      )
    ),
    missing: Type.Optional(MissingClientSettings),
    cursor: Type.Optional(
      Type.String({ description: 'With `cursor_expired`: cursor that starts a new snapshot' })
    ),
    confirm_url: Type.Optional(
      Type.String({
        description: 'With `account_changed`: login URL that confirms the change',
        example: `https://app.example.com/auth/${exampleProvider.id}/login?change_account=true`
      })
    )
  },
  { title: 'Problem', description: 'Problem document (RFC 9457)' }
)

export const ReturnUrl = Type.String({
  maxLength: 2048,
  format: 'text',
  description:
    'Where the browser goes afterwards: a path on the front end, or a URL of the same origin',
  example: '/settings/connections'
})

const STATUS_DESCRIPTIONS: Record<number, string> = {
  400: 'The request is malformed: invalid JSON, an unknown cursor, or a failed OAuth login',
  401: 'No valid credential; send `Authorization: Bearer …`',
  403: 'The credential does not allow this request',
  404: 'Not found',
  409: 'Not connected, or the connection needs action first',
  410: 'The cursor has expired; start again with the cursor in the body',
  413: 'The body is too large',
  415: 'The body is not JSON',
  422: 'Request validation failed; `errors` lists the fields',
  429: 'Too many requests; retry after `Retry-After` seconds',
  500: 'Internal error; the log has the request id',
  502: 'Atlassian refused the request or did not respond',
  503: 'Temporarily unavailable; retry after `Retry-After` seconds'
}

/** The problem responses of a route; 500 and 503 are always among them. */
export function problemResponses<Status extends number>(...statuses: Status[]) {
  return toResponses(statuses, { 'application/problem+json': { schema: Problem } })
}

/** The problem responses of a route that people open: a browser that navigates gets a page. */
export function problemOrPageResponses<Status extends number>(...statuses: Status[]) {
  return toResponses(statuses, {
    'application/problem+json': { schema: Problem },
    'text/html': { schema: Type.String() }
  })
}

function toResponses(statuses: number[], content: Record<string, { schema: TSchema }>) {
  return Object.fromEntries(
    [...statuses, 500, 503].map((status) => [
      status,
      { description: STATUS_DESCRIPTIONS[status], content }
    ])
  )
}
