import { Type, type TProperties } from '@sinclair/typebox'
import { PaginationParameters } from '../../src/http/schemas.ts'
import { AppError } from '../../src/lib/errors.ts'
import type { Collection } from '../../src/providers/provider.ts'

/** Bodies make items heavy: so many at most come with theirs. */
const MAX_ITEMS_WITH_BODY = 100

/** The query of a list. */
export interface ListQuery {
  limit?: number
  cursor?: string
  updated_since?: string
  q?: string
  include?: 'body'
  [within: string]: string | number | undefined
}

/**
 * The query parameters of a collection's lists.
 *
 * @param isWholeByDefault whether a list without `limit` has everything
 */
export function createListParameters(
  { parentFilter, table, body }: Collection,
  isWholeByDefault: boolean
) {
  const defaultLimit = isWholeByDefault
    ? 'all, as a stream'
    : String(PaginationParameters.limit.default)
  const limitParameters: TProperties =
    isWholeByDefault || body !== undefined
      ? {
          limit: Type.Optional(
            Type.Integer({
              ...withoutDefault(PaginationParameters.limit),
              description:
                `Maximum number of items. Default: ${defaultLimit}` +
                (body === undefined
                  ? ''
                  : `; with \`include=body\` ${MAX_ITEMS_WITH_BODY}, which is then the maximum`)
            })
          )
        }
      : {}
  const filterParameters: TProperties = {
    [table.filterBy.parameter]: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 255,
        format: 'text',
        description: parentFilter.description,
        example: parentFilter.example
      })
    )
  }
  const includeParameters: TProperties =
    body !== undefined
      ? {
          include: Type.Optional(
            Type.Unsafe<'body'>({
              type: 'string',
              enum: ['body'],
              description: `body: with bodies, which the connection copies while its ${body.option} is on`
            })
          )
        }
      : {}

  return {
    ...PaginationParameters,
    ...limitParameters,
    ...filterParameters,
    updated_since: Type.Optional(
      Type.String({
        format: 'instant',
        maxLength: 40,
        description: 'Only what was changed at this moment or later',
        example: '2026-11-23T12:00:00Z'
      })
    ),
    q: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        format: 'text',
        description:
          'Only what has this in its title, name or key; capital and small letters of ASCII are the same',
        example: 'runbook'
      })
    ),
    ...includeParameters
  }
}

/**
 * The number of items of a page.
 *
 * @throws AppError `validation_failed`
 */
export function resolveLimit({ limit }: ListQuery, includeBodies: boolean): number {
  if (!includeBodies) return limit ?? (PaginationParameters.limit.default as number)
  if ((limit ?? 0) > MAX_ITEMS_WITH_BODY) {
    throw new AppError(
      'validation_failed',
      `With include=body a page has at most ${MAX_ITEMS_WITH_BODY} items.`,
      {
        errors: [
          {
            pointer: '/limit',
            detail: `Value must be at most ${MAX_ITEMS_WITH_BODY} with include=body.`
          }
        ]
      }
    )
  }
  return limit ?? MAX_ITEMS_WITH_BODY
}

function withoutDefault<Schema extends { default?: unknown }>({
  default: _default,
  ...schema
}: Schema) {
  return schema
}
