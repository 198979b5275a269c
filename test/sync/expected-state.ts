import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { Running } from '../sandbox/helper.ts'

type Row = Record<string, any>
export type Table = Record<string, Row>
export interface Everything {
  projects: Table
  issues: Table
  spaces: Table
  pages: Table
}

/** What Atlassian shows of a site to whoever is behind a user's connections, asked for by plain calls that share no code with the service. */
export async function truth(
  app: FastifyInstance,
  { url, admin }: Running,
  owner: number,
  cloudId: string
): Promise<Everything> {
  await admin('lag', { ms: 0 })
  const [jira, confluence] = await Promise.all(
    ['jira', 'confluence'].map(async (product) => {
      const standing = await app.store.connections.get(owner, product)
      const token = await app.access.accessToken(standing?.grant.id ?? '', { log: app.log })
      return async (path: string, body?: object): Promise<Row> => {
        const answer = await fetch(`${url}/ex/${product}/${cloudId}${path}`, {
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) })
        })
        if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
        return (await answer.json()) as Row
      }
    })
  )
  if (jira === undefined || confluence === undefined) {
    throw new Error('Both products have to be connected')
  }

  async function listed(path: string): Promise<Row[]> {
    const rows: Row[] = []
    for (let next: string | undefined = path; next !== undefined;) {
      const page: Row = await confluence!(next)
      rows.push(...page.results)
      next = page._links.next
    }
    return rows
  }
  const projects: Row[] = []
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
    ids.push(...page.issues.map(({ id }: Row) => id))
    token = page.nextPageToken
  }
  const issues: Row[] = []
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
  const spaces = await listed('/wiki/api/v2/spaces?limit=250')
  const keys = new Map(spaces.map(({ id, key }) => [id, key]))
  return {
    projects: table(projects, ({ key, name, lead }) => ({
      key,
      name,
      lead: lead?.displayName ?? null
    })),
    issues: table(issues, ({ key, fields }) => ({
      key,
      project_key: fields.project.key,
      summary: fields.summary,
      status: fields.status.name,
      updated_at: time(fields.updated)
    })),
    spaces: table(spaces, ({ key, name, status }) => ({ key, name, status })),
    pages: table(
      await listed('/wiki/api/v2/pages?limit=250'),
      ({ title, status, spaceId, version, _links: { webui } }) => ({
        title,
        status,
        space_key: keys.get(spaceId) ?? webui.split('/')[2],
        updated_at: time(version.createdAt)
      })
    )
  }
}

/** The same of what the service has copied, by the ids of Atlassian. */
export async function copied(app: FastifyInstance, owner: number): Promise<Everything> {
  const { projects, issues, spaces, pages } = Object.fromEntries(
    await Promise.all(
      Object.entries(LISTS).map(async ([name, path]) => {
        const rows: Row[] = []
        for (let next: string | undefined = `${path}/${owner}`; next !== undefined;) {
          const answer: LightMyRequestResponse = await app.inject(next)
          if (answer.statusCode !== 200) throw new Error(answer.body)
          rows.push(...(answer.json() as Row[]))
          next = /<([^>]+)>/.exec(String(answer.headers.link ?? ''))?.[1]
        }
        return [name, rows]
      })
    )
  ) as Record<keyof Everything, Row[]>
  // A project has no remote id on the wire: the feed tells it.
  const changes = (
    await app.inject(`/users/${owner}/changes?collections=projects&limit=1000`)
  ).json().changes as Row[]
  const remote = new Map(
    changes.map(({ id, remote_id: remoteId, site }) => [
      id,
      site === null ? `posted ${remoteId}` : remoteId
    ])
  )
  return {
    projects: table(
      projects.map((row) => ({ ...row, id: remote.get(row.id) })),
      ({ key, name, lead }) => ({ key, name, lead })
    ),
    issues: table(
      issues.map((row) => ({ ...row, id: row.issue_id })),
      ({ key, project_key: project, summary, status, updated_at: at }) => ({
        key,
        project_key: project,
        summary,
        status,
        updated_at: at
      })
    ),
    spaces: table(
      spaces.map((row) => ({ ...row, id: row.space_id })),
      ({ key, name, status }) => ({ key, name, status })
    ),
    pages: table(
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

const LISTS = {
  projects: '/jira/projects',
  issues: '/jira/issues',
  spaces: '/confluence/spaces',
  pages: '/confluence/pages'
}

/** Keyed by the ids of Atlassian. Two rows of one id are an error. */
function table(rows: Row[], of: (row: Row) => Row): Table {
  const entries = rows.map((row) => [String(row.id), of(row)] as const)
  if (new Set(entries.map(([id]) => id)).size < entries.length) {
    throw new Error('An item is there twice')
  }
  return Object.fromEntries(entries)
}

function time(text: string): string {
  return new Date(text).toISOString()
}
