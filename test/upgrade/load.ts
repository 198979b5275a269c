import { answerConsentPage, waitFor } from '../helper.ts'
import { getJson, postJson } from '../multi-instance/helper.ts'
import type { TestContext } from '../types.ts'

/** Requests in progress at any time. */
const CLIENT_COUNT = 4
const FIRST_USER = 1

export interface Load {
  /** Resolves after this many more requests. */
  serve: (count: number) => Promise<void>
  stop: () => Promise<{ created: number; posted: number; failures: string[] }>
}

/** Creates and connects the first user, then sends reads, writes and logins until it is stopped. */
export async function startLoad(t: TestContext, url: string): Promise<Load> {
  await connectFirstUser(url)
  let [created, posted, completed] = [1, 0, 0]
  const stopping = new AbortController()
  let cursor: string | undefined
  const failures: string[] = []
  const operations: Array<() => Promise<{ status: number; body: unknown }>> = [
    async () => await getJson(url, '/users?limit=10'),
    async () => await getJson(url, `/jira/projects/${FIRST_USER}`),
    async () => await getJson(url, `/users/${FIRST_USER}/connections`),
    async () => await getJson(url, '/integrations/jira/sync/runs?limit=5'),
    async () => await getJson(url, `/auth/jira/login?state=user_id=${FIRST_USER}`),
    async () => {
      const email = `user-${completed}-${Math.random()}@example.com`
      const response = await postJson(url, '/users', { email })
      if (response.status === 201) created++
      return response
    },
    async () => {
      const body = { owner_id: FIRST_USER, key: `P${posted}`, name: `Posted ${completed}` }
      const response = await postJson(url, '/jira/projects', body)
      if (response.status === 201) posted++
      return response
    },
    async () => await postJson(url, '/integrations/jira/sync'),
    // A reader of the feed meets both versions in turn.
    async () => {
      const since = cursor === undefined ? '' : `&since=${encodeURIComponent(cursor)}`
      const response = await getJson(url, `/users/${FIRST_USER}/changes?limit=5${since}`)
      if (response.status === 200) cursor = response.body.next
      return response
    }
  ]
  const clients = Array.from({ length: CLIENT_COUNT }, async (_, offset) => {
    for (let i = offset; !stopping.signal.aborted; i++) {
      try {
        const { status, body } = await (operations[i % operations.length] as () => Promise<any>)()
        if (status >= 400) {
          failures.push(`${i % operations.length}: ${status} ${JSON.stringify(body)}`)
        }
      } catch (error) {
        failures.push(`${i % operations.length}: ${String((error as Error).cause ?? error)}`)
      }
      completed++
    }
  })
  const stop = async () => {
    stopping.abort()
    await Promise.all(clients)
    return { created, posted, failures }
  }
  t.teardown(stop)
  return {
    async serve(count) {
      const target = completed + count
      await waitFor(() => completed >= target, 120_000)
    },
    stop
  }
}

/** The callback goes to the load balancer: its URL is registered for another port. */
async function connectFirstUser(url: string): Promise<void> {
  const { body } = await getJson(url, '/auth/jira/login?state=email:first@example.com')
  const { pathname, search } = new URL(await answerConsentPage(body.url))
  const response = await fetch(url + pathname + search, { redirect: 'manual' })
  if (response.status !== 302) throw new Error(`${response.status} ${await response.text()}`)
}
