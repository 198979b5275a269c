import { jiraError, ok } from '../gateway/answer.ts'
import type { Answer } from '../gateway/answer.ts'
import { list, whole } from '../gateway/call.ts'
import type { Call } from '../gateway/call.ts'
import { PROJECT_STATUSES } from '../data/projects.ts'
import type { ProjectRow } from '../data/projects.ts'
import { seesProject } from '../data/visibility.ts'
import { shown } from '../admin/corrupt-items.ts'
import { typeOf, viewProject } from './view.ts'

const DEFAULT_PAGE = 50
const LARGEST_PAGE = 100
const MOST_NAMED = 50
const ORDERS = [
  'key',
  'name',
  'category',
  'owner',
  'issueCount',
  'lastIssueUpdatedDate',
  'archivedDate',
  'deletedDate'
]

/** GET project/search (atlassian.md 8.1): offsets, and more than 100 asked for is treated as 100. */
export function searchProjects(call: Call): Answer {
  const { query } = call
  const startAt = whole(query.get('startAt'), 0)
  const asked = whole(query.get('maxResults'), DEFAULT_PAGE)
  const order = /^([+\- ]?)(\w+)$/.exec(query.get('orderBy') ?? 'key')
  const statuses = query.has('status') ? list(query, 'status') : ['live']
  if (!(startAt >= 0)) {
    return jiraError(400, 'The startAt query parameter must be a non-negative number.')
  }
  if (!(asked >= 0)) {
    return jiraError(400, 'The maxResults query parameter must be a non-negative number.')
  }
  if (order === null || !ORDERS.includes(order[2])) {
    return jiraError(400, `The orderBy value '${query.get('orderBy')}' is not supported.`)
  }
  if (statuses.some((status) => !(PROJECT_STATUSES as readonly string[]).includes(status))) {
    return jiraError(400, 'The status must be live, archived or deleted.')
  }
  if (list(query, 'id').length > MOST_NAMED || list(query, 'keys').length > MOST_NAMED) {
    return jiraError(400, `No more than ${MOST_NAMED} projects can be named.`)
  }

  const by = order[2] === 'key' || order[2] === 'name' ? order[2] : 'id'
  const all = repeated(call, narrowed(call, call.site.projects.sorted(by, statuses)))
  return page(call, all, {
    startAt,
    size: Math.min(asked, LARGEST_PAGE),
    descending: order[1] === '-'
  })
}

/** Spoilt projects as often as they are to come: offsets count them, so that no other one is missed. */
function repeated({ site }: Call, positions: Uint32Array): Uint32Array {
  const spoilt = site.spoils.of('projects')
  if (spoilt === undefined) return positions
  return Uint32Array.from(
    [...positions].flatMap((position) =>
      Array<number>(spoilt.get(position)?.repeat ?? 1).fill(position)
    )
  )
}

/** Positions that the filters and the person's permissions leave. Without either nothing is looked at. */
function narrowed(call: Call, sorted: Uint32Array): Uint32Array {
  const {
    query,
    hidden,
    site: { projects }
  } = call
  const positions =
    hidden?.some('projects') === true
      ? sorted.filter((position) => !hidden.has('projects', position))
      : sorted
  const [ids, keys, types] = [
    list(query, 'id'),
    list(query, 'keys').map((key) => key.toUpperCase()),
    list(query, 'typeKey')
  ]
  const text = (query.get('query') ?? '').toLowerCase()
  if (ids.length + keys.length + types.length === 0 && text === '') return positions
  const fits = (row: ProjectRow) =>
    (ids.length === 0 || ids.includes(row.id)) &&
    (keys.length === 0 || keys.includes(row.key)) &&
    (types.length === 0 || types.includes(typeOf(row))) &&
    (row.key.toLowerCase().includes(text) || row.name.toLowerCase().includes(text))
  return positions.filter((position) => {
    const row = projects.at(position)
    return row !== undefined && fits(row)
  })
}

function page(
  call: Call,
  all: Uint32Array,
  { startAt, size, descending }: { startAt: number; size: number; descending: boolean }
): Answer {
  const {
    query,
    site: { projects },
    base
  } = call
  const expand = list(query, 'expand')
  const values: Record<string, unknown>[] = []
  for (let index = startAt; index < Math.min(startAt + size, all.length); index++) {
    const row = projects.at(all[descending ? all.length - 1 - index : index])
    if (row !== undefined) values.push(shown(call, 'projects', row, viewProject(call, row, expand)))
  }
  const isLast = startAt + size >= all.length
  const address = (from: number) => {
    const params = new URLSearchParams(query)
    params.set('startAt', String(from))
    params.set('maxResults', String(size))
    return `${base}/rest/api/3/project/search?${params}`
  }
  return ok(
    {
      self: address(startAt),
      ...(!isLast && { nextPage: address(startAt + size) }),
      maxResults: size,
      startAt,
      total: all.length,
      isLast,
      values
    },
    values.length
  )
}

/** GET project/{id or key}. A project that was renamed still answers to its old key. */
export function getProject(call: Call): Answer {
  const [name] = call.params
  const { projects } = call.site
  const row = projects.byId(name) ?? projects.byKey(name)
  if (!seesProject(call, row) || row.status !== 'live') {
    return jiraError(
      404,
      `No project could be found with ${/^\d+$/.test(name) ? 'id' : 'key'} '${name}'.`
    )
  }
  return ok(
    shown(
      call,
      'projects',
      row,
      viewProject(call, row, [
        'description',
        'lead',
        'issueTypes',
        'url',
        ...list(call.query, 'expand')
      ])
    ),
    1
  )
}
