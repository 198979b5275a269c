import type { Request } from 'autocannon'
import type { Contender } from './subject.ts'
import { scenarios, type Scenario } from './scenarios.ts'

const get = (path: string): Request => ({ method: 'GET', path })
const PER_PAGE = 250

/** The scenario as one contender is asked: cursors are its own. */
export type Asked = (contender: Contender) => Promise<Scenario>

/** Every page of a long list in turn, as somebody reads it who follows `Link: rel="next"`. */
const listing: Asked = async ({ url }) => {
  const requests: Request[] = []
  let path: string | undefined = `/confluence/pages/1?limit=${PER_PAGE}`
  while (path !== undefined) {
    requests.push(get(path))
    const answer: Response = await fetch(url + path)
    await answer.arrayBuffer()
    const [, next]: string[] = /<([^>]*)>; *rel="next"/.exec(answer.headers.get('link') ?? '') ?? []
    path = next === undefined ? undefined : next.replace(url, '')
  }
  return {
    name: 'pages',
    title: `GET /confluence/pages, ${PER_PAGE} at a time`,
    connections: 8,
    warmUpS: 2,
    requests: requests as Scenario['requests']
  }
}

/** The feed from its beginning: the same 500 changes again and again. */
const feed: Asked = async ({ url }) => {
  let since = ''
  let more = true
  while (more) {
    const body = (await (
      await fetch(`${url}/users/1/changes?collections=pages${since}`)
    ).json()) as { changes: unknown[]; next: string; more: boolean }
    since = `&since=${body.next}`
    more = body.more && body.changes.length > 0
    if (body.changes.length > 0) break
  }
  return {
    name: 'changes',
    title: 'GET /users/{id}/changes, 500',
    connections: 8,
    warmUpS: 2,
    requests: [get(`/users/1/changes?collections=pages${since}`)]
  }
}

const project: Scenario = {
  name: 'project',
  title: 'POST /jira/projects',
  connections: 16,
  warmUpS: 3,
  requests: Array.from({ length: 50 }, (_, i): Request => ({
    method: 'POST',
    path: '/jira/projects',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ owner_id: i + 2, key: 'KEY[<id>]', name: 'Put in by hand' })
  })) as Scenario['requests']
}

export const asked: Array<{ name: string; of: Asked }> = [
  ...scenarios.map((scenario) => ({
    name: scenario.name,
    of: async () => ({ ...scenario, warmUpS: Math.min(scenario.warmUpS, 3) })
  })),
  { name: 'pages', of: listing },
  { name: 'project', of: async () => project },
  { name: 'changes', of: feed }
]
