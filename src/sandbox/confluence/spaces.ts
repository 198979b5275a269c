import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { parseListParam } from '../gateway/call.ts'
import type { GatewayCall } from '../state.ts'
import { SPACE_STATUSES } from '../data/spaces.ts'
import type { SpaceRow } from '../data/spaces.ts'
import { canSeeSpace } from '../data/visibility.ts'
import { paginateRows, applyCorruption } from '../data/corruptions.ts'
import {
  invalidParameter,
  takeSmallest,
  isResponse,
  MAX_PAGE_SIZE,
  pagedResponse,
  parseCursor,
  parseLimit,
  parseNames
} from './paging.ts'
import { renderSpace } from './view.ts'
import { confluenceError } from './errors.ts'

type SpaceSort = 'id' | 'key' | 'name'
const SORT_FIELDS: readonly string[] = ['id', 'key', 'name']
const SPACE_TYPES = [
  'global',
  'collaboration',
  'knowledge_base',
  'personal',
  'system',
  'onboarding',
  'xflow_sample_space'
]
const ENUMS: Record<string, readonly string[]> = { type: SPACE_TYPES, status: SPACE_STATUSES }
const DESCRIPTION_FORMATS = ['plain', 'view']

/** GET spaces (docs/reference/atlassian.md#92-spaces). Keys are compared case-insensitively. */
export function listSpaces(call: GatewayCall): SandboxResponse {
  const { query, site } = call
  const [, minus, sort = ''] = /^(-?)(.+)$/.exec(query.get('sort') ?? 'id') ?? []
  if (!SORT_FIELDS.includes(sort)) {
    return invalidParameter(
      'sort',
      'Expected one of id, key, name, each with or without a minus sign.'
    )
  }
  const [limit, cursor] = [parseLimit(call), parseCursor(call, `${minus}${sort}`)]
  const [ids, keys] = [
    parseNames(call, 'ids', MAX_PAGE_SIZE),
    parseNames(call, 'keys', MAX_PAGE_SIZE)
  ]
  for (const refusal of [limit, cursor, ids, keys]) if (isResponse(refusal)) return refusal
  for (const [name, values] of Object.entries(ENUMS)) {
    const invalid = parseListParam(query, name).filter((value) => !values.includes(value))
    if (invalid.length > 0) {
      return invalidParameter(name, `Expected one of ${values.join(', ')}.`)
    }
  }
  const format = query.get('description-format')
  if (format !== null && !DESCRIPTION_FORMATS.includes(format)) {
    return invalidParameter('description-format', 'Expected plain or view.')
  }

  const by = sort as SpaceSort
  const sign = minus === '-' ? -1 : 1
  const compare = (a: SpaceRow, b: SpaceRow) =>
    sign * (by !== 'id' && a[by] !== b[by] ? (a[by] < b[by] ? -1 : 1) : a.position - b.position)
  const last =
    cursor === undefined || isResponse(cursor) ? undefined : site.spaces.findById(cursor.id)
  if (isCompleteListing(call)) site.answers.startListing('spaces')
  const matches = buildSpaceFilter(call)
  const rows = takeSmallest(
    site.spaces
      .scan({ order: 'id' })
      .filter((row) => matches(row) && (last === undefined || compare(row, last) > 0)),
    Number(limit) + 1,
    compare
  )
  const { page, hasMore } = paginateRows(call, 'spaces', rows, Number(limit))
  const end = hasMore ? page.at(-1) : undefined
  return pagedResponse(
    call,
    page.map((row) => applyCorruption(call, 'spaces', row, renderSpace(call, row, format))),
    end === undefined
      ? undefined
      : {
          id: end.id,
          contentOrder: `${minus}${sort}`,
          contentOrderValue: by === 'id' ? Number(end.id) : end[by]
        }
  )
}

function isCompleteListing({ query }: GatewayCall): boolean {
  return !['cursor', 'ids', 'keys'].some((name) => query.has(name))
}

function buildSpaceFilter(call: GatewayCall): (row: SpaceRow) => boolean {
  const { query } = call
  const [ids, types, statuses] = [
    parseListParam(query, 'ids'),
    parseListParam(query, 'type'),
    parseListParam(query, 'status')
  ]
  const keys = parseListParam(query, 'keys').map((key) => key.toLowerCase())
  const isLookup = ids.length + keys.length > 0
  return (row) =>
    canSeeSpace(call, row) &&
    (isLookup || !call.site.answers.isOmitted('spaces', row)) &&
    (ids.length === 0 || ids.includes(row.id)) &&
    (keys.length === 0 || keys.includes(row.key.toLowerCase())) &&
    (types.length === 0 || types.includes(row.type)) &&
    (statuses.length === 0 ? row.status !== 'trashed' : statuses.includes(row.status))
}

/** GET spaces/{id} */
export function getSpace(call: GatewayCall): SandboxResponse {
  const [id = ''] = call.params
  const row = call.site.spaces.findById(id)
  if (!canSeeSpace(call, row)) {
    return confluenceError(404, 'NOT_FOUND', `Cannot find a space with id [${id}]`)
  }
  const space = renderSpace(call, row, call.query.get('description-format'))
  return ok(
    applyCorruption(call, 'spaces', row, {
      ...space,
      _links: { ...(space._links as object), base: `${call.site.url}/wiki` }
    }),
    1
  )
}
