import { ensureDatabase, queryDatabase } from '../database.ts'
import { buildSandboxEnv, buildTestApp, VAULT_KEY } from '../helper.ts'
import type { TestContext } from '../types.ts'

/** No list may contain it. */
export const PLANTED_TOKEN = 'pl4nted-token'
const SITE = (name: string) => ({
  cloudId: `8f0c1d3e-0000-4000-8000-${name.padStart(12, '0')}`,
  name,
  url: `https://${name}.atlassian.net`
})
const REASON = { code: 'upstream_timeout', detail: 'Atlassian did not respond in time.' }
/** Never claimed by a worker of the test. */
const FAR_FUTURE_MS = Date.UTC(2100, 0, 1)
export const RUNS_BEGIN_MS = Date.UTC(2026, 10, 1)
const HOUR_MS = 3_600_000

const PEOPLE: Array<
  [email: string, name: string | null, product: string, state: string, site: string]
> = [
  ['ada@example.com', 'Ada Lovelace', 'jira', 'active', 'acme'],
  ['ada@example.com', 'Ada Lovelace', 'confluence', 'needs_site', 'acme'],
  ['bob@example.com', null, 'jira', 'degraded', 'beta'],
  ['eve_1@example.com', 'Eve 100%', 'jira', 'needs_reconnect', 'acme'],
  ['kim@other.example', 'Ada Kim', 'confluence', 'scope_missing', 'gamma'],
  ['zoe@other.example', 'Zoe', 'confluence', 'misconfigured', 'beta']
]

/** A service with one connection in each state, and runs of their owners; nothing of it is synced. */
export async function startFleet(t: TestContext, env: NodeJS.ProcessEnv = {}) {
  const url = await ensureDatabase(
    t,
    `${(t as unknown as { testdir: () => string }).testdir()}/c.db`
  )
  const service = await buildTestApp(t, {
    ...buildSandboxEnv('http://127.0.0.1:1'),
    INTEGRATION_DB_URL: url,
    SYNC_INTERVAL: '0',
    ...env
  })
  // What a start does to grants is done before there are any.
  await service.app.ready()
  const { store } = service.app
  const users = new Map<string, number>()
  for (const [i, [email, name, provider, state, site]] of PEOPLE.entries()) {
    const { user } = await store.users.findOrCreate(email, name)
    users.set(email, user.id)
    const id = `grant-${i}`
    const isLocal = ['active', 'needs_site', 'scope_missing'].includes(state)
    const sites = [SITE(site)]
    await store.grants.connect(
      {
        id,
        clientId: `${provider}-app`,
        accountId: `account-${i}`,
        scopes: 'read:me',
        keyId: VAULT_KEY.split(':')[0] ?? '',
        accessToken: PLANTED_TOKEN,
        refreshToken: PLANTED_TOKEN,
        previousRefreshToken: PLANTED_TOKEN,
        accessExpiresAt: new Date(FAR_FUTURE_MS),
        dueAt: new Date(FAR_FUTURE_MS)
      },
      {
        userId: user.id,
        provider,
        sites,
        selectedSites: state === 'needs_site' ? [] : sites,
        state: (isLocal ? state : 'active') as 'active',
        reason: isLocal && state !== 'active' ? REASON : null,
        before: null
      }
    )
    if (!isLocal) await store.grants.changeState(id, 1, state as 'degraded', REASON)
  }
  const ownerOf = (email: string) => users.get(email) ?? 0
  const insertRun = async (i: number, owner: number, provider: string, state: string) => {
    const createdAt = RUNS_BEGIN_MS + i * HOUR_MS
    const isParked = state === 'parked'
    await queryDatabase(
      url,
      `insert into runs (owner_id, provider, state, active_key, parked_until, seen, added, changed,
         calls, created_at, finished_at)
       values (${owner}, '${provider}', '${state}', ${isParked ? `'${owner}/${provider}'` : 'null'},
         ${isParked ? FAR_FUTURE_MS : 'null'}, 1, 1, 0, 1, ${createdAt},
         ${isParked ? 'null' : createdAt + 1_000})`
    )
  }
  const [ada, bob] = [ownerOf('ada@example.com'), ownerOf('bob@example.com')]
  await insertRun(0, ada, 'jira', 'failed')
  await insertRun(1, ada, 'jira', 'succeeded')
  await insertRun(2, bob, 'jira', 'failed')
  await insertRun(3, ada, 'confluence', 'partial')
  await insertRun(4, bob, 'jira', 'parked')
  return { ...service, url, ada, bob }
}
