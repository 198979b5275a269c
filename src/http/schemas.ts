import { Type } from '@sinclair/typebox'

export { Nullable, OptionalText, Text, Url } from '../lib/typebox.ts'

/** Shapes that several routes speak. Each is validation, type and documentation at once. */

/** Ids are positive 53-bit integers in one spelling; in a path they are text. */
export const Id = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, example: 1 })
export const PathId = Type.String({
  pattern: '^[1-9][0-9]{0,15}$',
  format: 'id',
  description: 'A positive whole number',
  example: '1'
})

export const PaginationParameters = {
  limit: Type.Integer({
    minimum: 1,
    maximum: 1000,
    default: 1000,
    description: 'How many at most'
  }),
  cursor: Type.Optional(
    Type.String({
      maxLength: 12_288,
      description: 'Where to go on, from the Link header of the page before'
    })
  )
}

/** A moment, as answers have it. */
export const Timestamp = Type.String({
  description: 'ISO 8601, UTC',
  example: '2026-11-23T12:00:00.000Z'
})

/** An answer without a body: what If-None-Match names is still so. */
export const NotModified = Type.Null({
  description: 'Nothing has changed since the answer that If-None-Match names'
})

/** Which of an app's three settings are absent. */
export const MissingClientSettings = Type.Object({
  client_id: Type.Boolean(),
  client_secret: Type.Boolean(),
  redirect_uri: Type.Boolean()
})

/** RFC 9457. */
export const Problem = Type.Object(
  {
    type: Type.String({ example: 'about:blank' }),
    title: Type.String({ example: 'Not Found' }),
    status: Type.Integer({ example: 404 }),
    detail: Type.String({ description: 'A sentence for people', example: 'No user has this id.' }),
    code: Type.String({ description: 'Stable, for programs', example: 'user_not_found' }),
    request_id: Type.String({
      description: 'Also in X-Request-ID and in every log line of the request',
      example: 'my-debug-123'
    }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({ example: '/email' }),
          detail: Type.String({ example: 'Unknown field.' })
        })
      )
    ),
    missing: Type.Optional(MissingClientSettings),
    cursor: Type.Optional(
      Type.String({ description: 'With cursor_expired: where a snapshot of what is there begins' })
    ),
    confirm_url: Type.Optional(
      Type.String({
        description: 'With account_changed: the login that confirms it',
        example: 'https://app.example.com/auth/jira/login?redirect=true&change_account=true'
      })
    )
  },
  { description: 'A problem document' }
)

const STATUS_DESCRIPTIONS: Record<number, string> = {
  400: 'Not JSON, an unknown cursor, or a broken flow',
  401: 'No credential, or one that is not good; send Authorization: Bearer …',
  403: 'Not for this credential',
  404: 'No such thing',
  409: 'Not connected, or somebody has to act first',
  410: 'Older than what is kept; begin again with the cursor that is given',
  413: 'Body too large',
  415: 'Not JSON',
  422: 'Does not fit; errors name the fields',
  429: 'Too many requests; Retry-After says when to ask again',
  500: 'Unforeseen; the request id finds the log',
  502: 'Atlassian refused or did not answer',
  503: 'Not ready; Retry-After says when to ask again'
}

/** The problems a route may answer with. */
export function problemResponses<Status extends number>(...statuses: Status[]) {
  return Object.fromEntries(
    [...statuses, 500, 503].map((status) => [
      status,
      {
        description: STATUS_DESCRIPTIONS[status],
        content: { 'application/problem+json': { schema: Problem } }
      }
    ])
  )
}
