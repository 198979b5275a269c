import { setTimeout as sleep } from 'node:timers/promises'
import type { Request } from 'autocannon'
import type { BenchmarkSubject } from './subject.ts'
import type { Load } from './load.ts'
import { getPageRequests, scenarios, type Credentials, type RequestList } from './scenarios.ts'

const PAGE_SIZE = 250
const MAX_ATTEMPTS = 10
const UPLOADING_USERS = 50
/** Those of `npm run bench` whose cost depends on the engine most. */
const SHARED_NAMES = ['user', 'create', 'list', 'login']
const WARM_UP_S = 3
/** Instances share the connections: with more, the two cores only queue. */
const MAX_CONNECTIONS = 16
const CREDENTIALS: Credentials = { apiKey: '', jwt: '', settings: {} }

/** A scenario whose requests differ between subjects, as cursors do. */
export interface EngineScenario extends Omit<Load, 'requests'> {
  name: string
  title: string
  warmUpS: number
  getRequests: (subject: BenchmarkSubject) => RequestList | Promise<RequestList>
}

/** Repeats a preparation after a second while the service sheds load (503). */
async function repeatWhileBusy<T>(prepare: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await prepare()
    } catch (error) {
      if (attempt === MAX_ATTEMPTS || !/: 503 /.test(String(error))) throw error
      await sleep(1_000)
    }
  }
}

export const engineScenarios: EngineScenario[] = [
  ...scenarios
    .filter(({ name }) => SHARED_NAMES.includes(name))
    .map((scenario) => ({
      ...scenario,
      warmUpS: Math.min(scenario.warmUpS, WARM_UP_S),
      connections: scenario.name === 'list' ? MAX_CONNECTIONS / 2 : MAX_CONNECTIONS,
      getRequests: async (subject: BenchmarkSubject) =>
        await scenario.getRequests(subject, CREDENTIALS)
    })),
  {
    name: 'project',
    title: 'POST /jira/projects, new keys',
    connections: MAX_CONNECTIONS,
    warmUpS: WARM_UP_S,
    getRequests: () =>
      Array.from({ length: UPLOADING_USERS }, (_, i) => ({
        method: 'POST',
        path: '/jira/projects',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ owner_id: i + 3, key: 'KEY[<id>]', name: 'Manual upload' })
      })) as Request[] as RequestList
  },
  {
    name: 'pages',
    title: `GET /confluence/pages/{owner}, 10,000, ${PAGE_SIZE} at a time`,
    connections: MAX_CONNECTIONS / 2,
    warmUpS: WARM_UP_S,
    getRequests: async ({ url }) =>
      await repeatWhileBusy(
        async () => await getPageRequests(url, `/confluence/pages/1?limit=${PAGE_SIZE}`)
      )
  },
  {
    name: 'changes',
    title: 'GET /users/{id}/changes, 500',
    connections: MAX_CONNECTIONS / 2,
    warmUpS: WARM_UP_S,
    getRequests: () => [{ method: 'GET', path: '/users/1/changes?collections=pages&limit=500' }]
  }
]
