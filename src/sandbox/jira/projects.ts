import { ok } from '../gateway/answer.ts'
import type { SandboxResponse } from '../gateway/answer.ts'
import { parseListParam, parseIntegerParam } from '../gateway/call.ts'
import type { GatewayCall } from '../state.ts'
import { PROJECT_STATUSES } from '../data/projects.ts'
import type { ProjectRow } from '../data/projects.ts'
import { canSeeProject } from '../data/visibility.ts'
import { applyCorruption } from '../data/corruptions.ts'
import { projectType, renderProject } from './view.ts'
import { jiraError } from './errors.ts'

const DEFAULT_PAGE_SIZE = 50
const MAX_PAGE_SIZE = 100
const MAX_FILTER_VALUES = 50
const ACTIONS = ['view', 'browse', 'edit', 'create']
const ORDER_FIELDS = [
  'key',
  'name',
  'category',
  'owner',
  'issueCount',
  'lastIssueUpdatedDate',
  'archivedDate',
  'deletedDate'
]

/**
 * GET project/search (docs/reference/atlassian.md#81-project-search): pages by offset; a page
 * size above 100 is treated as 100.
 */
export function searchProjects(call: GatewayCall): SandboxResponse {
  const { query } = call
  const startAt = parseIntegerParam(query.get('startAt'), 0)
  const requested = parseIntegerParam(query.get('maxResults'), DEFAULT_PAGE_SIZE)
  const order = /^([+\- ]?)(\w+)$/.exec(query.get('orderBy') ?? 'key')
  const statuses = query.has('status') ? parseListParam(query, 'status') : ['live']
  if (!(startAt >= 0)) {
    return jiraError(400, 'The startAt query parameter must be a non-negative number.')
  }
  if (!(requested >= 0)) {
    return jiraError(400, 'The maxResults query parameter must be a non-negative number.')
  }
  if (order === null || !ORDER_FIELDS.includes(order[2] ?? '')) {
    return jiraError(400, `The orderBy value '${query.get('orderBy')}' is not supported.`)
  }
  const action = query.get('action') ?? 'view'
  if (!ACTIONS.includes(action)) return jiraError(400, `The action '${action}' is not supported.`)
  if (statuses.some((status) => !(PROJECT_STATUSES as readonly string[]).includes(status))) {
    return jiraError(400, 'The status must be live, archived or deleted.')
  }
  if (
    parseListParam(query, 'id').length > MAX_FILTER_VALUES ||
    parseListParam(query, 'keys').length > MAX_FILTER_VALUES
  ) {
    return jiraError(400, `No more than ${MAX_FILTER_VALUES} projects can be named.`)
  }

  if (startAt === 0 && !isLookup(call)) call.site.answers.startListing('projects')
  const by = order[2] === 'key' || order[2] === 'name' ? order[2] : 'id'
  const all = repeatCorrupted(
    call,
    filterPositions(call, call.site.projects.sortedPositions(by, statuses))
  )
  return renderProjectPage(call, all, {
    startAt,
    size: Math.min(requested, MAX_PAGE_SIZE),
    descending: order[1] === '-'
  })
}

function isLookup({ query }: GatewayCall): boolean {
  return query.has('id') || query.has('keys')
}

/**
 * Repeats corrupted projects as often as configured. Offsets count the repetitions, so that no
 * other project is missed.
 */
function repeatCorrupted({ site }: GatewayCall, positions: Uint32Array): Uint32Array {
  const corruptions = site.corruptions.forCollection('projects')
  if (corruptions === undefined) return positions
  return Uint32Array.from(
    [...positions].flatMap((position) =>
      Array<number>(corruptions.get(position)?.repeat ?? 1).fill(position)
    )
  )
}

/**
 * Returns the positions that pass the filters and are visible to the user. Without filters and
 * restrictions it returns its input.
 */
function filterPositions(call: GatewayCall, sorted: Uint32Array): Uint32Array {
  const {
    query,
    hiddenItems,
    site: { projects, answers }
  } = call
  const visible =
    hiddenItems?.hasAny('projects') === true
      ? sorted.filter((position) => !hiddenItems.has('projects', position))
      : sorted
  const positions =
    answers.rules().listOmits.length === 0 || isLookup(call)
      ? visible
      : visible.filter((position) => {
          const row = projects.at(position)
          return row !== undefined && !answers.isOmitted('projects', row)
        })
  const [ids, keys, types] = [
    parseListParam(query, 'id'),
    parseListParam(query, 'keys').map((key) => key.toUpperCase()),
    parseListParam(query, 'typeKey')
  ]
  const text = (query.get('query') ?? '').toLowerCase()
  if (ids.length + keys.length + types.length === 0 && text === '') return positions
  const matches = (row: ProjectRow) =>
    (ids.length === 0 || ids.includes(row.id)) &&
    (keys.length === 0 || keys.includes(row.key)) &&
    (types.length === 0 || types.includes(projectType(row))) &&
    (row.key.toLowerCase().includes(text) || row.name.toLowerCase().includes(text))
  return positions.filter((position) => {
    const row = projects.at(position)
    return row !== undefined && matches(row)
  })
}

function renderProjectPage(
  call: GatewayCall,
  all: Uint32Array,
  { startAt, size, descending }: { startAt: number; size: number; descending: boolean }
): SandboxResponse {
  const {
    query,
    site: { projects },
    base
  } = call
  const expand = parseListParam(query, 'expand')
  const values: Record<string, unknown>[] = []
  for (let index = startAt; index < Math.min(startAt + size, all.length); index++) {
    const position = all[descending ? all.length - 1 - index : index]
    const row = position === undefined ? undefined : projects.at(position)
    if (row !== undefined) {
      values.push(applyCorruption(call, 'projects', row, renderProject(call, row, expand)))
    }
  }
  const isLast = startAt + size >= all.length
  const pageUrl = (from: number) => {
    const params = new URLSearchParams(query)
    params.set('startAt', String(from))
    params.set('maxResults', String(size))
    return `${base}/rest/api/3/project/search?${params}`
  }
  return ok(
    {
      self: pageUrl(startAt),
      ...(!isLast && { nextPage: pageUrl(startAt + size) }),
      maxResults: size,
      startAt,
      total: all.length,
      isLast,
      values
    },
    values.length
  )
}

/** GET project/{id or key}. A renamed project is also found by its earlier keys. */
export function getProject(call: GatewayCall): SandboxResponse {
  const [name = ''] = call.params
  const { projects } = call.site
  const row = projects.findById(name) ?? projects.findByKey(name)
  if (!canSeeProject(call, row) || row.status !== 'live') {
    return jiraError(
      404,
      `No project could be found with ${/^\d+$/.test(name) ? 'id' : 'key'} '${name}'.`
    )
  }
  return ok(
    applyCorruption(
      call,
      'projects',
      row,
      renderProject(call, row, [
        'description',
        'lead',
        'issueTypes',
        'url',
        ...parseListParam(call.query, 'expand')
      ])
    ),
    1
  )
}
