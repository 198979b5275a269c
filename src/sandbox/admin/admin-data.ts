import type { IssueRow } from '../data/issues.ts'
import { STATUSES } from '../data/issues.ts'
import { PAGE_STATUSES } from '../data/pages.ts'
import type { PageRow } from '../data/pages.ts'
import type { ProjectRow, Projects } from '../data/projects.ts'
import { SPACE_STATUSES } from '../data/spaces.ts'
import type { SpaceRow } from '../data/spaces.ts'
import { AdminError, requireOneOf, readFields, resolveSite } from './fields.ts'
import type { SandboxState } from '../state.ts'

type AdminFields = Record<string, unknown>

const SPACE_KEY = /^~?[A-Za-z0-9]{1,255}$/

/** Omits undefined fields, so that they do not overwrite stored values. */
function omitUndefined<T extends object>(patch: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

export function createProject(state: SandboxState, body: unknown) {
  const { site, key, name } = readFields(body, {
    site: 'string?',
    key: 'string',
    name: 'string?'
  }) as { site?: string; key: string; name?: string }
  const { projects } = resolveSite(state, site)
  if (projects.findByKey(key) !== undefined) {
    throw new AdminError(`the key ${key} is already in use`)
  }
  const at = state.now()
  const row = projects.add((position) => ({
    position,
    id: '',
    key: key.toUpperCase(),
    name: name ?? key,
    status: 'live',
    created: at,
    modified: at,
    version: 1
  }))
  return { id: row.id, key: row.key }
}

/**
 * Renames, archives, deletes or restores a project; `archived: false` and `deleted: false`
 * restore it.
 */
export function changeProject(state: SandboxState, body: unknown, id: string) {
  const { site, key, name, archived, deleted } = readFields(body, {
    site: 'string?',
    key: 'string?',
    name: 'string?',
    archived: 'boolean?',
    deleted: 'boolean?'
  }) as { site?: string; key?: string; name?: string; archived?: boolean; deleted?: boolean }
  const { projects } = resolveSite(state, site)
  const row = projects.findById(id) ?? projects.findByKey(id)
  if (row === undefined) throw new AdminError(`no project ${id}`)
  const keyOwner = key === undefined ? undefined : projects.findByKey(key)
  if (keyOwner !== undefined && keyOwner.position !== row.position) {
    throw new AdminError(`the key ${key} is already in use`)
  }
  const hasStatusChange = archived !== undefined || deleted !== undefined
  const status: ProjectRow['status'] | undefined =
    deleted === true
      ? 'deleted'
      : archived === true
        ? 'archived'
        : hasStatusChange
          ? 'live'
          : undefined
  const changed = projects.change(
    row.position,
    omitUndefined({ key: key?.toUpperCase(), name, status })
  )
  return { id: changed.id, key: changed.key, status: changed.status }
}

export function createIssue(state: SandboxState, body: unknown) {
  const { site, project, summary, status } = readFields(body, {
    site: 'string?',
    project: 'string',
    summary: 'string?',
    status: 'string?'
  }) as { site?: string; project: string; summary?: string; status?: string }
  const { projects, issues } = resolveSite(state, site)
  const row = issues.create({
    project: resolveProjectPosition(projects, project),
    summary,
    ...(status !== undefined && { status: requireOneOf(status, STATUSES, 'status') })
  })
  return { id: row.id, key: issues.key(row) }
}

/** Edits, deletes, restores or moves an issue. */
export function changeIssue(state: SandboxState, body: unknown, name: string) {
  const { site, summary, status, deleted, project } = readFields(body, {
    site: 'string?',
    summary: 'string?',
    status: 'string?',
    deleted: 'boolean?',
    project: 'string?'
  }) as AdminFields
  const { issues, projects } = resolveSite(state, site)
  const row = issues.findById(name) ?? issues.findByKey(name)
  if (row === undefined) throw new AdminError(`no issue ${name}`)
  const patch = {
    summary,
    deleted,
    status: status === undefined ? undefined : requireOneOf(status, STATUSES, 'status')
  }
  const owner =
    project === undefined ? undefined : resolveProjectPosition(projects, String(project))
  const move =
    owner === undefined || owner === row.project ? {} : issues.prepareMove(row.position, owner)
  const changed = issues.change(row.position, {
    ...(omitUndefined(patch) as Partial<IssueRow>),
    ...move
  })
  return { id: changed.id, key: issues.key(changed) }
}

export function createSpace(state: SandboxState, body: unknown) {
  const { site, key, name } = readFields(body, {
    site: 'string?',
    key: 'string',
    name: 'string?'
  }) as { site?: string; key: string; name?: string }
  const { spaces } = resolveSite(state, site)
  if (!SPACE_KEY.test(key)) {
    throw new AdminError('key must be letters and digits, after a ~ for a personal space')
  }
  if (spaces.findByKey(key) !== undefined) throw new AdminError(`the key ${key} is already in use`)
  const row = spaces.create({ key, name: name ?? key })
  return { id: row.id, key: row.key }
}

/** Renames, archives, deletes or restores a space together with its pages. */
export function changeSpace(state: SandboxState, body: unknown, name: string) {
  const {
    site,
    name: title,
    status,
    deleted
  } = readFields(body, {
    site: 'string?',
    name: 'string?',
    status: 'string?',
    deleted: 'boolean?'
  }) as AdminFields
  const { spaces } = resolveSite(state, site)
  const row = spaces.findById(name) ?? spaces.findByKey(name)
  if (row === undefined) throw new AdminError(`no space ${name}`)
  const patch = {
    name: title,
    deleted,
    status: status === undefined ? undefined : requireOneOf(status, SPACE_STATUSES, 'status')
  }
  const changed = spaces.change(row.position, omitUndefined(patch) as Partial<SpaceRow>)
  return { id: changed.id, key: changed.key, status: changed.status, deleted: changed.deleted }
}

export function createPage(state: SandboxState, body: unknown) {
  const {
    site,
    space_id: spaceId,
    title,
    body: storage
  } = readFields(body, {
    site: 'string?',
    space_id: 'string',
    title: 'string?',
    body: 'string?'
  }) as AdminFields
  const { pages } = resolveSite(state, site)
  const row = pages.create({
    space: resolveSpacePosition(state, site, spaceId),
    title: title as string | undefined,
    body: storage as string | undefined
  })
  return { id: row.id, title: pages.title(row), status: row.status }
}

const PAGE_ACTIONS: Record<string, PageRow['status']> = {
  trash: 'trashed',
  purge: 'deleted',
  archive: 'archived',
  restore: 'current'
}

/** `pages/{id}/trash` and the like, without a body. */
function changePageStatus(state: SandboxState, body: unknown, id: string, action: string) {
  const status = PAGE_ACTIONS[action]
  if (status === undefined) {
    throw new AdminError(`no action ${action}. Known: ${Object.keys(PAGE_ACTIONS).join(', ')}`)
  }
  const { site } = readFields(body, { site: 'string?' })
  return changePage(state, { ...(site !== undefined && { site }), status }, id)
}

/**
 * Renames, moves, edits, archives, trashes, purges or restores a page. Each change adds a
 * version.
 */
export function changePage(state: SandboxState, body: unknown, path: string): object {
  const [id = '', action] = path.split('/')
  if (action !== undefined) return changePageStatus(state, body, id, action)
  const {
    site,
    title,
    status,
    space_id: spaceId,
    body: storage
  } = readFields(body, {
    site: 'string?',
    title: 'string?',
    status: 'string?',
    space_id: 'string?',
    body: 'string?'
  }) as AdminFields
  const { pages } = resolveSite(state, site)
  const row = pages.findById(id)
  if (row === undefined) throw new AdminError(`no page ${id}`)
  const patch = {
    title,
    body: storage,
    status: status === undefined ? undefined : requireOneOf(status, PAGE_STATUSES, 'status'),
    space: spaceId === undefined ? undefined : resolveSpacePosition(state, site, spaceId)
  }
  const changed = pages.change(row.position, omitUndefined(patch) as Partial<PageRow>)
  return {
    id: changed.id,
    title: pages.title(changed),
    status: changed.status,
    version: changed.version
  }
}

function resolveProjectPosition(projects: Projects, name: string): number {
  const project = projects.findById(name) ?? projects.findByKey(name)
  if (project === undefined) throw new AdminError(`no project ${name}`)
  return project.position
}

function resolveSpacePosition(state: SandboxState, site: unknown, id: unknown): number {
  const space = resolveSite(state, site).spaces.findById(String(id))
  if (space === undefined) throw new AdminError(`no space ${id}`)
  return space.position
}
