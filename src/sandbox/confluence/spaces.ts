import { confluenceError, ok } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { list } from '../gateway/call.ts'
import type { Call } from '../gateway/call.ts'
import type { SpaceRow } from '../data/spaces.ts'
import { seesSpace } from '../data/visibility.ts'
import { filled, shown } from '../admin/corrupt-items.ts'
import {
  badParameter,
  firstOf,
  isAnswer,
  LARGEST_PAGE,
  paged,
  readCursor,
  readLimit,
  readNames
} from './paging.ts'
import { viewSpace } from './view.ts'

type Sort = 'id' | 'key' | 'name'
const SORTS: readonly string[] = ['id', 'key', 'name']
const FORMATS = ['plain', 'view']

/** GET spaces (atlassian.md 9.2). Keys are compared without regard to case. */
export function listSpaces(call: Call): Answer {
  const { query, site } = call
  const [, minus, sort] = /^(-?)(.+)$/.exec(query.get('sort') ?? 'id') ?? []
  if (!SORTS.includes(sort)) {
    return badParameter('sort', 'Expected one of id, key, name, each with or without a minus sign.')
  }
  const [limit, cursor] = [readLimit(call), readCursor(call, `${minus}${sort}`)]
  const [ids, keys] = [readNames(call, 'ids', LARGEST_PAGE), readNames(call, 'keys', LARGEST_PAGE)]
  for (const refusal of [limit, cursor, ids, keys]) if (isAnswer(refusal)) return refusal
  const format = query.get('description-format')
  if (format !== null && !FORMATS.includes(format)) {
    return badParameter('description-format', 'Expected plain or view.')
  }

  const by = sort as Sort
  const sign = minus === '-' ? -1 : 1
  const compare = (a: SpaceRow, b: SpaceRow) =>
    sign * (by !== 'id' && a[by] !== b[by] ? (a[by] < b[by] ? -1 : 1) : a.position - b.position)
  const last = cursor === undefined || isAnswer(cursor) ? undefined : site.spaces.byId(cursor.id)
  const fits = filter(call)
  const rows = firstOf(
    site.spaces
      .walk({ order: 'id' })
      .filter((row) => fits(row) && (last === undefined || compare(row, last) > 0)),
    Number(limit) + 1,
    compare
  )
  const { page, more } = filled(call, 'spaces', rows, Number(limit))
  const end = more ? page.at(-1) : undefined
  return paged(
    call,
    page.map((row) => shown(call, 'spaces', row, viewSpace(call, row, format))),
    end === undefined
      ? undefined
      : {
          id: end.id,
          contentOrder: `${minus}${sort}`,
          contentOrderValue: by === 'id' ? Number(end.id) : end[by]
        }
  )
}

function filter(call: Call): (row: SpaceRow) => boolean {
  const { query } = call
  const [ids, types, statuses] = [list(query, 'ids'), list(query, 'type'), list(query, 'status')]
  const keys = list(query, 'keys').map((key) => key.toLowerCase())
  return (row) =>
    seesSpace(call, row) &&
    (ids.length === 0 || ids.includes(row.id)) &&
    (keys.length === 0 || keys.includes(row.key.toLowerCase())) &&
    (types.length === 0 || types.includes(row.type)) &&
    (statuses.length === 0 || statuses.includes(row.status))
}

/** GET spaces/{id} */
export function getSpace(call: Call): Answer {
  const [id] = call.params
  const row = call.site.spaces.byId(id)
  if (!seesSpace(call, row)) {
    return confluenceError(404, 'NOT_FOUND', `Cannot find a space with id [${id}]`)
  }
  const space = viewSpace(call, row, call.query.get('description-format'))
  return ok(
    shown(call, 'spaces', row, {
      ...space,
      _links: { ...(space._links as object), base: `${call.site.url}/wiki` }
    }),
    1
  )
}
