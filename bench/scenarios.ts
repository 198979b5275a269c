import type { Request } from 'autocannon'
import type { BenchmarkSubject } from './subject.ts'

/** Differences between the services that are measured. */
export interface Setup {
  userCount: number
  /** Settings that differ from those of every benchmark. */
  settings: (credentials: Credentials) => Record<string, string>
}

/** What callers of a protected service present. */
export interface Credentials {
  apiKey: string
  jwt: string
  /** Settings of a service that accepts both. */
  settings: Record<string, string>
}

export type RequestList = [Request, ...Request[]]

/** One kind of request, sent to every subject. */
export interface Scenario {
  /** For `--only`. */
  name: string
  title: string
  connections: number
  /** Seconds until code is optimized; longer for writes, which wait for the disk. */
  warmUpS: number
  /** Default: `open`. */
  setup?: keyof typeof SETUPS
  /** What it is compared with; by default a bare server with the same setup. */
  baseline?: keyof typeof SETUPS
  /** Whether nothing of it depends on the database. */
  withoutDatabase?: true
  /** Sent in turn; `[<id>]` is replaced with a new value each time. */
  getRequests: (
    subject: BenchmarkSubject,
    credentials: Credentials
  ) => RequestList | Promise<RequestList>
}

export const SETUPS = {
  open: { userCount: 100, settings: () => ({}) },
  /** As `open`, in a process that has served nothing else. */
  small: { userCount: 100, settings: () => ({}) },
  large: { userCount: 100_000, settings: () => ({}) },
  protected: { userCount: 100, settings: ({ settings }) => settings },
  logged: { userCount: 100, settings: () => ({ LOG_LEVEL: 'debug' }) }
} as const satisfies Record<string, Setup>

const CONNECTIONS = 64
/** A request of some milliseconds: with 64 at a time the last waits so long that it may be refused. */
const LIST_CONNECTIONS = 16
/** A list of 10,000 has 2 MB; with 64 at a time a short measurement would end before the first. */
const STREAM_CONNECTIONS = 8
const PAGE_SIZE = 250
/** Each connection of the load generator keeps a copy of every request. */
const DISTINCT_USERS = 50
const UPSERTED_PROJECTS = 50

const get = (path: string, headers?: Record<string, string>): Request => ({
  method: 'GET',
  path,
  ...(headers === undefined ? {} : { headers })
})
const post = (path: string, body: object): Request => ({
  method: 'POST',
  path,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body)
})
const only = (request: Request) => (): RequestList => [request]

/** Users spread over all that there are. */
function getUserRequests(
  { userCount }: BenchmarkSubject,
  headers?: Record<string, string>
): RequestList {
  const step = userCount / DISTINCT_USERS
  return Array.from({ length: DISTINCT_USERS }, (_, i) =>
    get(`/users/${1 + Math.floor(i * step)}`, headers)
  ) as RequestList
}

/** Every page of a long list in turn, as a client requests them that follows `Link: rel="next"`. */
export async function getPageRequests(url: string, path: string): Promise<RequestList> {
  const requests: Request[] = []
  for (let next: string | undefined = path; next !== undefined;) {
    requests.push(get(next))
    const response = await fetch(url + next)
    if (!response.ok) throw new Error(`GET ${next}: ${response.status} ${await response.text()}`)
    await response.arrayBuffer()
    const [, link]: string[] =
      /<([^>]*)>; *rel="next"/.exec(response.headers.get('link') ?? '') ?? []
    next = link === undefined ? undefined : new URL(link, url + next).href.slice(url.length)
  }
  return requests as RequestList
}

const health = (name: string, path: string): Scenario[] => [
  {
    name,
    title: `GET ${path}`,
    connections: CONNECTIONS,
    warmUpS: 2,
    withoutDatabase: true,
    getRequests: only(get(path))
  },
  {
    name: `${name}-logged`,
    title: `GET ${path}, with log lines`,
    connections: CONNECTIONS,
    warmUpS: 2,
    setup: 'logged',
    withoutDatabase: true,
    getRequests: only(get(path))
  }
]

export const scenarios: Scenario[] = [
  ...health('root', '/'),
  ...health('livez', '/livez'),
  ...health('healthz', '/healthz'),
  {
    name: 'user',
    title: 'GET /users/{id}',
    connections: CONNECTIONS,
    warmUpS: 2,
    getRequests: (subject) => getUserRequests(subject)
  },
  {
    name: 'user-key',
    title: 'GET /users/{id} by API key',
    connections: CONNECTIONS,
    warmUpS: 2,
    setup: 'protected',
    getRequests: (subject, { apiKey }) =>
      getUserRequests(subject, { authorization: `Bearer ${apiKey}` })
  },
  {
    name: 'user-jwt',
    title: 'GET /users/{id} by JWT',
    connections: CONNECTIONS,
    warmUpS: 2,
    setup: 'protected',
    // A person sees nobody else.
    getRequests: (_subject, { jwt }) => [get('/users/1', { authorization: `Bearer ${jwt}` })]
  },
  {
    name: 'user-growth',
    title: 'GET /users/{id}, 100,000 users against 100',
    connections: CONNECTIONS,
    warmUpS: 2,
    setup: 'large',
    baseline: 'small',
    getRequests: (subject) => getUserRequests(subject)
  },
  {
    name: 'user-large',
    title: 'GET /users/{id}, 100,000 users',
    connections: CONNECTIONS,
    warmUpS: 2,
    setup: 'large',
    getRequests: (subject) => getUserRequests(subject)
  },
  {
    name: 'users',
    title: 'GET /users?limit=100, 100 users',
    connections: CONNECTIONS,
    warmUpS: 2,
    getRequests: only(get('/users?limit=100'))
  },
  {
    name: 'users-large',
    title: 'GET /users?limit=100, 100,000 users',
    connections: CONNECTIONS,
    warmUpS: 2,
    setup: 'large',
    getRequests: only(get('/users?limit=100'))
  },
  {
    name: 'create',
    title: 'POST /users',
    connections: CONNECTIONS,
    warmUpS: 8,
    getRequests: only(post('/users', { email: '[<id>]@example.com', display_name: 'Ada Lovelace' }))
  },
  {
    name: 'project',
    title: 'POST /jira/projects, existing keys',
    connections: CONNECTIONS,
    warmUpS: 8,
    getRequests: () =>
      Array.from({ length: UPSERTED_PROJECTS }, (_, i) =>
        post('/jira/projects', { owner_id: i + 3, key: 'KEY', name: 'Upload [<id>]' })
      ) as RequestList
  },
  {
    name: 'list',
    title: 'GET /jira/projects/{owner}, 1,000',
    connections: LIST_CONNECTIONS,
    warmUpS: 2,
    getRequests: only(get('/jira/projects/1'))
  },
  {
    name: 'list-paged',
    title: `GET /jira/projects/{owner}, 10,000, ${PAGE_SIZE} at a time`,
    connections: LIST_CONNECTIONS,
    warmUpS: 2,
    getRequests: async ({ url }) =>
      await getPageRequests(url, `/jira/projects/2?limit=${PAGE_SIZE}`)
  },
  {
    name: 'list-streamed',
    title: 'GET /jira/projects/{owner}, 10,000 as a stream',
    connections: STREAM_CONNECTIONS,
    warmUpS: 2,
    getRequests: only(get('/jira/projects/2'))
  },
  {
    name: 'changes',
    title: 'GET /users/{id}/changes, 500',
    connections: LIST_CONNECTIONS,
    warmUpS: 2,
    getRequests: only(get('/users/1/changes?collections=projects&limit=500'))
  },
  {
    name: 'login',
    title: 'GET /auth/jira/login',
    connections: CONNECTIONS,
    warmUpS: 10,
    getRequests: only(get('/auth/jira/login'))
  }
]
