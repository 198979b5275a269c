import type { GatewayCall } from '../state.ts'
import type { IssueRow } from '../data/issues.ts'
import { STATUSES } from '../data/issues.ts'
import type { ProjectRow } from '../data/projects.ts'
import { hash, pick, uuid } from '../data/hash.ts'
import { formatJiraDate } from '../query/format-date.ts'
import { DANA, FORMER_USER } from '../oauth/users.ts'
import type { SandboxUser } from '../oauth/users.ts'

const PROJECT_TYPES = [
  'software',
  'software',
  'business',
  'service_desk',
  'software',
  'product_discovery',
  'software',
  'customer_service'
] as const
const CATEGORIES = ['Revenue', 'Platform', 'Back office'] as const

/**
 * A project in a list, with the fields that `expand` adds
 * (docs/reference/atlassian.md#81-project-search).
 */
export function renderProject(
  call: GatewayCall,
  row: ProjectRow,
  expand: readonly string[] = []
): Record<string, unknown> {
  const { site, base } = call
  const { position } = row
  const isNextGenProject = isNextGen(row)
  const self = `${base}/rest/api/3/project/${row.id}`
  return {
    expand: 'description,lead,issueTypes,url,projectKeys,permissions,insight',
    self,
    id: row.id,
    key: row.key,
    ...(expand.includes('description') && { description: `What ${row.name} is about` }),
    ...(expand.includes('lead') && renderLead(call, row)),
    ...(expand.includes('issueTypes') && {
      issueTypes: [
        { self: `${base}/rest/api/3/issuetype/10001`, id: '10001', name: 'Bug', subtask: false }
      ]
    }),
    ...(expand.includes('url') && { url: `https://wiki.example/${row.id}` }),
    ...(expand.includes('projectKeys') && { projectKeys: [row.key] }),
    name: row.name,
    avatarUrls: buildAvatarUrls(
      `${base}/rest/api/3/universal_avatar/view/type/project/avatar/${10400 + (position % 20)}`
    ),
    ...(hash(site.seed, 70, position) % 3 === 0 && {
      projectCategory: renderCategory(call, position)
    }),
    projectTypeKey: projectType(row),
    simplified: isNextGenProject,
    style: isNextGenProject ? 'next-gen' : 'classic',
    isPrivate: hash(site.seed, 71, position) % 9 === 0,
    ...(expand.includes('insight') && {
      insight: {
        totalIssueCount: countProjectIssues(call, row),
        lastIssueUpdateTime: formatJiraDate(row.modified)
      }
    }),
    properties: {},
    ...(isNextGenProject && {
      entityId: uuid(site.seed, 72, position),
      uuid: uuid(site.seed, 72, position)
    }),
    ...(row.status === 'archived' && {
      archived: true,
      archivedDate: formatJiraDate(row.modified)
    }),
    ...(row.status === 'deleted' && { deleted: true, deletedDate: formatJiraDate(row.modified) })
  }
}

export function projectType({ position }: ProjectRow): string {
  return PROJECT_TYPES[position % PROJECT_TYPES.length] ?? 'software'
}

function isNextGen({ position }: ProjectRow): boolean {
  return position % 4 === 1
}

/** Of every seven projects, one has no lead and one has a former user as its lead. */
function renderLead({ state, base }: GatewayCall, { position }: ProjectRow) {
  if (position % 7 === 3) return {}
  const lead =
    position % 7 === 5 ? FORMER_USER : (state.users[position % state.users.length] ?? DANA)
  return { lead: renderAccount(lead, base, lead !== FORMER_USER) }
}

function renderCategory({ site, base }: GatewayCall, position: number) {
  const index = hash(site.seed, 73, position) % CATEGORIES.length
  return {
    self: `${base}/rest/api/3/projectCategory/${10000 + index}`,
    id: String(10000 + index),
    name: CATEGORIES[index],
    description: ''
  }
}

function countProjectIssues({ site }: GatewayCall, { position }: ProjectRow): number {
  return Math.max(0, Math.ceil((site.sizes.issues - position) / Math.max(site.sizes.projects, 1)))
}

/** A user as others see them: without an e-mail address. */
export function renderAccount(user: SandboxUser, base: string, active: boolean) {
  return {
    self: `${base}/rest/api/3/user?accountId=${encodeURIComponent(user.accountId)}`,
    accountId: user.accountId,
    displayName: user.name,
    active,
    avatarUrls: buildAvatarUrls(
      `${base}/rest/api/3/universal_avatar/view/type/user/avatar/${user.nickname}`
    )
  }
}

function buildAvatarUrls(baseUrl: string): Record<string, string> {
  return {
    '16x16': `${baseUrl}?size=xsmall`,
    '24x24': `${baseUrl}?size=small`,
    '32x32': `${baseUrl}?size=medium`,
    '48x48': `${baseUrl}?size=xlarge`
  }
}

type FieldRenderer = (call: GatewayCall, row: IssueRow) => unknown

/**
 * Renders each implemented field. API v3 returns rich text as ADF
 * (docs/reference/atlassian.md#83-jql-search).
 */
const FIELD_RENDERERS: Record<string, FieldRenderer> = {
  summary: ({ site: { issues } }, row) => issues.summary(row),
  description: (_call, { version }) => ({
    type: 'doc',
    version: 1,
    content: [{ type: 'paragraph', content: [{ type: 'text', text: `Revision ${version}` }] }]
  }),
  status: ({ site: { issues }, base }, row) => renderStatus(base, issues.status(row)),
  issuetype: ({ site: { issues } }, row) => ({
    id: '10001',
    name: issues.type(row),
    subtask: false
  }),
  project: ({ site: { projects }, base }, row) => {
    const project = projects.at(row.project)
    return project === undefined
      ? null
      : {
          self: `${base}/rest/api/3/project/${project.id}`,
          id: project.id,
          key: project.key,
          name: project.name
        }
  },
  priority: () => ({ id: '3', name: 'Medium' }),
  assignee: ({ site: { seed }, state: { users }, base }, { position }) =>
    hash(seed, 80, position) % 3 === 0
      ? null
      : renderAccount(pick(users, seed, 81, position), base, true),
  reporter: ({ state: { users }, base }) =>
    users[0] === undefined ? null : renderAccount(users[0], base, true),
  labels: ({ site: { seed } }, { position }) =>
    hash(seed, 82, position) % 2 === 0 ? [] : ['imported'],
  created: (_call, { created }) => formatJiraDate(created),
  updated: (_call, { modified }) => formatJiraDate(modified)
}

export const FIELD_NAMES = Object.keys(FIELD_RENDERERS)

/** Renders the named fields; each name is in `FIELD_NAMES`. */
export function renderFields(
  call: GatewayCall,
  row: IssueRow,
  names: readonly string[]
): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const name of names) fields[name] = FIELD_RENDERERS[name]?.(call, row)
  return fields
}

function renderStatus(base: string, name: string) {
  const index = Math.max(0, (STATUSES as readonly string[]).indexOf(name))
  const category = [
    { id: 2, key: 'new', name: 'To Do' },
    { id: 4, key: 'indeterminate', name: 'In Progress' },
    { id: 3, key: 'done', name: 'Done' }
  ][index]
  const id = ['10000', '3', '10002'][index]
  return { self: `${base}/rest/api/3/status/${id}`, id, name, statusCategory: category }
}
