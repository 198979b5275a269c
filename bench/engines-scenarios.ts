import { setTimeout as sleep } from 'node:timers/promises'
import type { Request } from 'autocannon'
import type { BenchmarkSubject } from './subject.ts'
import { scenarios, type Scenario } from './scenarios.ts'

const createGetRequest = (path: string): Request => ({ method: 'GET', path })
const PAGE_SIZE = 250
const MAX_ATTEMPTS = 10

/** Sends a request again after a second while the service sheds load (503). */
async function getWhenReady(url: string): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(url)
    if (response.ok) return response
    if (response.status !== 503 || attempt === MAX_ATTEMPTS) {
      throw new Error(`GET ${url}: ${response.status} ${await response.text()}`)
    }
    await sleep(1_000)
  }
}

/** Builds the scenario for one subject: cursors differ between subjects. */
export type ScenarioBuilder = (subject: BenchmarkSubject) => Promise<Scenario>

/** Requests every page of a long list in turn, as a client does that follows `Link: rel="next"`. */
const buildListingScenario: ScenarioBuilder = async ({ url }) => {
  const requests: Request[] = []
  let path: string | undefined = `/confluence/pages/1?limit=${PAGE_SIZE}`
  while (path !== undefined) {
    requests.push(createGetRequest(path))
    const answer = await getWhenReady(url + path)
    await answer.arrayBuffer()
    const [, next]: string[] = /<([^>]*)>; *rel="next"/.exec(answer.headers.get('link') ?? '') ?? []
    path = next === undefined ? undefined : new URL(next, url + path).href.slice(url.length)
  }
  return {
    name: 'pages',
    title: `GET /confluence/pages, ${PAGE_SIZE} at a time`,
    connections: 8,
    warmUpS: 2,
    requests: requests as Scenario['requests']
  }
}

/** Reads the feed from its beginning: always the same 500 changes. */
const buildFeedScenario: ScenarioBuilder = async ({ url }) => {
  let since = ''
  let more = true
  while (more) {
    const response = await getWhenReady(`${url}/users/1/changes?collections=pages${since}`)
    const body = (await response.json()) as { changes: unknown[]; next: string; more: boolean }
    since = `&since=${body.next}`
    more = body.more && body.changes.length > 0
    if (body.changes.length > 0) break
  }
  return {
    name: 'changes',
    title: 'GET /users/{id}/changes, 500',
    connections: 8,
    warmUpS: 2,
    requests: [createGetRequest(`/users/1/changes?collections=pages${since}`)]
  }
}

const projectScenario: Scenario = {
  name: 'project',
  title: 'POST /jira/projects',
  connections: 16,
  warmUpS: 3,
  requests: Array.from({ length: 50 }, (_, i): Request => ({
    method: 'POST',
    path: '/jira/projects',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ owner_id: i + 2, key: 'KEY[<id>]', name: 'Manual upload' })
  })) as Scenario['requests']
}

export const scenarioBuilders: Array<{ name: string; build: ScenarioBuilder }> = [
  ...scenarios.map((scenario) => ({
    name: scenario.name,
    build: async () => ({ ...scenario, warmUpS: Math.min(scenario.warmUpS, 3) })
  })),
  { name: 'pages', build: buildListingScenario },
  { name: 'project', build: async () => projectScenario },
  { name: 'changes', build: buildFeedScenario }
]
