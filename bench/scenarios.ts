import type { Request } from 'autocannon'
import { USER_COUNT } from './seed.ts'

/** One kind of request, sent to every subject. */
export interface Scenario {
  /** For `--only`. */
  name: string
  title: string
  connections: number
  /** Seconds until code is optimized; longer for writes, which wait for the disk. */
  warmUpS: number
  /** Sent in turn; `[<id>]` is replaced with a new value each time. */
  requests: [Request, ...Request[]]
}

const createGetRequest = (path: string): Request => ({ method: 'GET', path })

export const scenarios: Scenario[] = [
  {
    name: 'user',
    title: 'GET /users/{id}',
    connections: 16,
    warmUpS: 2,
    requests: [
      createGetRequest('/users/1'),
      ...Array.from({ length: USER_COUNT - 1 }, (_, i) => createGetRequest(`/users/${i + 2}`))
    ]
  },
  {
    name: 'create',
    title: 'POST /users',
    connections: 16,
    warmUpS: 8,
    requests: [
      {
        method: 'POST',
        path: '/users',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email: '[<id>]@example.com', display_name: 'Ada Lovelace' })
      }
    ]
  },
  {
    name: 'list',
    title: 'GET /jira/projects/{owner}',
    connections: 8,
    warmUpS: 2,
    requests: [createGetRequest('/jira/projects/1')]
  },
  {
    name: 'login',
    title: 'GET /auth/jira/login',
    connections: 16,
    warmUpS: 10,
    requests: [createGetRequest('/auth/jira/login')]
  }
]
