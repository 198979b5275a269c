import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { RunningSandbox } from '../sandbox/helper.ts'
import type { JsonObject } from '../types.ts'
import { resolveNextPage } from '../network.ts'

type ItemTable = Record<string, JsonObject>
export interface ItemTables {
  projects: ItemTable
  issues: ItemTable
  spaces: ItemTable
  pages: ItemTable
}

/**
 * What Atlassian returns for a site to the accounts of a user's connections, read by calls that
 * share no code with the service.
 */
export async function fetchExpectedState(
  app: FastifyInstance,
  { url, admin }: RunningSandbox,
  owner: number,
  cloudId: string
): Promise<ItemTables> {
  await admin('lag', { ms: 0 })
  const [jira, confluence] = await Promise.all(
    ['jira', 'confluence'].map(async (product) => {
      const connection = await app.store.connections.get(owner, product)
      const token = await app.tokenProvider.getAccessToken(connection?.grant.id ?? '', {
        log: app.log
      })
      return async (path: string, body?: object): Promise<JsonObject> => {
        const answer = await fetch(`${url}/ex/${product}/${cloudId}${path}`, {
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) })
        })
        if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
        return (await answer.json()) as JsonObject
      }
    })
  )
  if (jira === undefined || confluence === undefined) {
    throw new Error('Both products have to be connected')
  }

  async function fetchAllPages(path: string): Promise<JsonObject[]> {
    const rows: JsonObject[] = []
    for (let next: string | undefined = path; next !== undefined;) {
      const page: JsonObject = await confluence!(next)
      rows.push(...page.results)
      next = page._links.next
    }
    return rows
  }
  const projects: JsonObject[] = []
  for (let startAt = 0, last = false; !last;) {
    const page = await jira(
      `/rest/api/3/project/search?startAt=${startAt}&maxResults=100&expand=lead`
    )
    projects.push(...page.values)
    startAt += page.values.length
    last = page.isLast
  }
  const ids: string[] = []
  for (let token: string | undefined, first = true; first || token !== undefined; first = false) {
    const page = await jira('/rest/api/3/search/jql', {
      jql: 'project is not EMPTY',
      maxResults: 5000,
      ...(token === undefined ? {} : { nextPageToken: token })
    })
    ids.push(...page.issues.map(({ id }: JsonObject) => id))
    token = page.nextPageToken
  }
  const issues: JsonObject[] = []
  for (let i = 0; i < ids.length; i += 100) {
    issues.push(
      ...(
        await jira('/rest/api/3/issue/bulkfetch', {
          issueIdsOrKeys: ids.slice(i, i + 100),
          fields: ['*all']
        })
      ).issues
    )
  }
  const spaces = await fetchAllPages('/wiki/api/v2/spaces?limit=250')
  const keys = new Map(spaces.map(({ id, key }) => [id, key]))
  return {
    projects: toItemTable(projects, ({ key, name, lead }) => ({
      key,
      name,
      lead: lead?.displayName ?? null
    })),
    issues: toItemTable(issues, ({ key, fields }) => ({
      key,
      project_key: fields.project.key,
      summary: fields.summary,
      status: fields.status.name,
      updated_at: toIsoTime(fields.updated)
    })),
    spaces: toItemTable(spaces, ({ key, name, status }) => ({ key, name, status })),
    pages: toItemTable(
      await fetchAllPages('/wiki/api/v2/pages?limit=250'),
      ({ title, status, spaceId, version, _links: { webui } }) => ({
        title,
        status,
        space_key: keys.get(spaceId) ?? webui.split('/')[2],
        updated_at: toIsoTime(version.createdAt)
      })
    )
  }
}

/** The same for the copies of the service, by Atlassian's ids. */
export async function readStoredState(app: FastifyInstance, owner: number): Promise<ItemTables> {
  const { projects, issues, spaces, pages } = Object.fromEntries(
    await Promise.all(
      Object.entries(LIST_PATHS).map(async ([name, path]) => {
        const rows: JsonObject[] = []
        for (let next: string | undefined = `${path}/${owner}`; next !== undefined;) {
          const answer: LightMyRequestResponse = await app.inject(next)
          if (answer.statusCode !== 200) throw new Error(answer.body)
          rows.push(...(answer.json() as JsonObject[]))
          next = resolveNextPage(next, answer.headers.link)
        }
        return [name, rows]
      })
    )
  ) as Record<keyof ItemTables, JsonObject[]>
  // Project responses have no remote id; the change feed has it.
  const changes = (
    await app.inject(`/users/${owner}/changes?collections=projects&limit=1000`)
  ).json().changes as JsonObject[]
  const remoteIds = new Map(
    changes.map(({ id, remote_id: remoteId, site }) => [
      id,
      site === null ? `posted ${remoteId}` : remoteId
    ])
  )
  return {
    projects: toItemTable(
      projects.map((row) => ({ ...row, id: remoteIds.get(row.id) })),
      ({ key, name, lead }) => ({ key, name, lead })
    ),
    issues: toItemTable(
      issues.map((row) => ({ ...row, id: row.issue_id })),
      ({ key, project_key: project, summary, status, updated_at: at }) => ({
        key,
        project_key: project,
        summary,
        status,
        updated_at: at
      })
    ),
    spaces: toItemTable(
      spaces.map((row) => ({ ...row, id: row.space_id })),
      ({ key, name, status }) => ({ key, name, status })
    ),
    pages: toItemTable(
      pages.map((row) => ({ ...row, id: row.page_id })),
      ({ title, status, space_key: space, updated_at: at }) => ({
        title,
        status,
        space_key: space,
        updated_at: at
      })
    )
  }
}

const LIST_PATHS = {
  projects: '/jira/projects',
  issues: '/jira/issues',
  spaces: '/confluence/spaces',
  pages: '/confluence/pages'
}

/** Keyed by Atlassian's ids. Throws if two rows have the same id. */
function toItemTable(rows: JsonObject[], toItem: (row: JsonObject) => JsonObject): ItemTable {
  const entries = rows.map((row) => [String(row.id), toItem(row)] as const)
  if (new Set(entries.map(([id]) => id)).size < entries.length) {
    throw new Error('An item is there twice')
  }
  return Object.fromEntries(entries)
}

function toIsoTime(text: string): string {
  return new Date(text).toISOString()
}
