import type { IssueRow } from '../data/issues.ts'
import { STATUSES } from '../data/issues.ts'
import { PAGE_STATUSES } from '../data/pages.ts'
import type { PageRow } from '../data/pages.ts'
import type { ProjectRow, Projects } from '../data/projects.ts'
import type { SpaceRow } from '../data/spaces.ts'
import { AdminError, oneOf, readFields, siteOf } from './fields.ts'
import type { World } from '../state.ts'

type Fields = Record<string, unknown>

const SPACE_KEY = /^~?[A-Za-z0-9]{1,255}$/

/** Leaves out what was not given, so that it does not overwrite what is there. */
function given<T extends object>(patch: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(patch).filter(([, value]) => value !== undefined)
  ) as Partial<T>
}

export function createProject(world: World, body: unknown) {
  const { site, key, name } = readFields(body, {
    site: 'string?',
    key: 'string',
    name: 'string?'
  }) as { site?: string; key: string; name?: string }
  const { projects } = siteOf(world, site)
  if (projects.byKey(key) !== undefined) throw new AdminError(`the key ${key} is taken`)
  const at = world.now()
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

/** Renames, archives, deletes or restores; `archived: false` and `deleted: false` bring it back. */
export function changeProject(world: World, body: unknown, id: string) {
  const { site, key, name, archived, deleted } = readFields(body, {
    site: 'string?',
    key: 'string?',
    name: 'string?',
    archived: 'boolean?',
    deleted: 'boolean?'
  }) as { site?: string; key?: string; name?: string; archived?: boolean; deleted?: boolean }
  const { projects } = siteOf(world, site)
  const row = projects.byId(id) ?? projects.byKey(id)
  if (row === undefined) throw new AdminError(`no project ${id}`)
  const holder = key === undefined ? undefined : projects.byKey(key)
  if (holder !== undefined && holder.position !== row.position) {
    throw new AdminError(`the key ${key} is taken`)
  }
  const touched = archived !== undefined || deleted !== undefined
  const status: ProjectRow['status'] | undefined =
    deleted === true ? 'deleted' : archived === true ? 'archived' : touched ? 'live' : undefined
  const changed = projects.change(row.position, given({ key: key?.toUpperCase(), name, status }))
  return { id: changed.id, key: changed.key, status: changed.status }
}

export function createIssue(world: World, body: unknown) {
  const { site, project, summary, status } = readFields(body, {
    site: 'string?',
    project: 'string',
    summary: 'string?',
    status: 'string?'
  }) as { site?: string; project: string; summary?: string; status?: string }
  const { projects, issues } = siteOf(world, site)
  const row = issues.create({
    project: projectOf(projects, project),
    summary,
    ...(status !== undefined && { status: oneOf(status, STATUSES, 'status') })
  })
  return { id: row.id, key: issues.key(row) }
}

/** Edits, deletes, restores, or moves to another project. */
export function changeIssue(world: World, body: unknown, name: string) {
  const { site, summary, status, deleted, project } = readFields(body, {
    site: 'string?',
    summary: 'string?',
    status: 'string?',
    deleted: 'boolean?',
    project: 'string?'
  }) as Fields
  const { issues, projects } = siteOf(world, site)
  const row = issues.byId(name) ?? issues.byKey(name)
  if (row === undefined) throw new AdminError(`no issue ${name}`)
  const patch = {
    summary,
    deleted,
    status: status === undefined ? undefined : oneOf(status, STATUSES, 'status')
  }
  const owner = project === undefined ? undefined : projectOf(projects, String(project))
  const place =
    owner === undefined || owner === row.project ? {} : issues.place(row.position, owner)
  const changed = issues.change(row.position, { ...(given(patch) as Partial<IssueRow>), ...place })
  return { id: changed.id, key: issues.key(changed) }
}

export function createSpace(world: World, body: unknown) {
  const { site, key, name } = readFields(body, {
    site: 'string?',
    key: 'string',
    name: 'string?'
  }) as { site?: string; key: string; name?: string }
  const { spaces } = siteOf(world, site)
  if (!SPACE_KEY.test(key)) {
    throw new AdminError('key must be letters and digits, after a ~ for a personal space')
  }
  if (spaces.byKey(key) !== undefined) throw new AdminError(`the key ${key} is taken`)
  const row = spaces.create({ key, name: name ?? key })
  return { id: row.id, key: row.key }
}

/** Renames, archives, deletes or restores; pages go and come with their space. */
export function changeSpace(world: World, body: unknown, name: string) {
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
  }) as Fields
  const { spaces } = siteOf(world, site)
  const row = spaces.byId(name) ?? spaces.byKey(name)
  if (row === undefined) throw new AdminError(`no space ${name}`)
  const patch = {
    name: title,
    deleted,
    status: status === undefined ? undefined : oneOf(status, ['current', 'archived'], 'status')
  }
  const changed = spaces.change(row.position, given(patch) as Partial<SpaceRow>)
  return { id: changed.id, key: changed.key, status: changed.status, deleted: changed.deleted }
}

export function createPage(world: World, body: unknown) {
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
  }) as Fields
  const { pages } = siteOf(world, site)
  const row = pages.create({
    space: spaceOf(world, site, spaceId),
    title: title as string | undefined,
    body: storage as string | undefined
  })
  return { id: row.id, title: pages.title(row), status: row.status }
}

/** Renames, moves, edits, archives, trashes, purges or restores. Each of them makes a new version. */
export function changePage(world: World, body: unknown, id: string) {
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
  }) as Fields
  const { pages } = siteOf(world, site)
  const row = pages.byId(id)
  if (row === undefined) throw new AdminError(`no page ${id}`)
  const patch = {
    title,
    body: storage,
    status: status === undefined ? undefined : oneOf(status, PAGE_STATUSES, 'status'),
    space: spaceId === undefined ? undefined : spaceOf(world, site, spaceId)
  }
  const changed = pages.change(row.position, given(patch) as Partial<PageRow>)
  return {
    id: changed.id,
    title: pages.title(changed),
    status: changed.status,
    version: changed.version
  }
}

function projectOf(projects: Projects, name: string): number {
  const project = projects.byId(name) ?? projects.byKey(name)
  if (project === undefined) throw new AdminError(`no project ${name}`)
  return project.position
}

function spaceOf(world: World, site: unknown, id: unknown): number {
  const space = siteOf(world, site).spaces.byId(String(id))
  if (space === undefined) throw new AdminError(`no space ${id}`)
  return space.position
}
