import t from 'tap'
import { createApiKey, PROTECTED_ENV } from '../access/helper.ts'
import { Browser, buildTestApp, buildAppWithSandbox, buildSandboxEnv } from '../helper.ts'
import { createFlow } from '../store/helper.ts'

const MAX_OPEN = 3

/** Starts logins from one address; returns their states, oldest first. */
async function startLogins(browser: Browser, count: number): Promise<string[]> {
  const callbacks: string[] = []
  for (let i = 0; i < count; i++) {
    callbacks.push(await browser.consent('jira', { query: `&state=n${i}` }))
  }
  return callbacks
}

async function completeLogins(
  browser: Browser,
  callbacks: string[]
): Promise<Array<string | null>> {
  const outcomes: Array<string | null> = []
  for (const callback of callbacks) {
    const { headers } = await browser.open(callback)
    const { searchParams } = new URL(headers.location ?? '')
    outcomes.push(searchParams.get('error') ?? searchParams.get('status'))
  }
  return outcomes
}

t.test('T34 Drops the oldest pending login of a caller above its limit', async (t) => {
  const { app } = await buildAppWithSandbox(t, {
    env: { APP_ENV: 'production', MAX_OPEN_LOGINS: String(MAX_OPEN) }
  })
  await app.store.users.findOrCreate('ada@example.com', null)
  const browser = new Browser(app)
  const [oldest = '', ...rest] = await startLogins(browser, MAX_OPEN + 1)
  t.same(await completeLogins(browser, rest), ['success', 'success', 'success'])
  t.same(await completeLogins(browser, [oldest]), ['unknown_state'])
})

t.test(
  'T34 Counts pending logins per user when one key starts logins for many users',
  async (t) => {
    const { app } = await buildTestApp(t, {
      ...buildSandboxEnv('http://127.0.0.1:9'),
      ...PROTECTED_ENV,
      MAX_OPEN_LOGINS: String(MAX_OPEN)
    })
    const { headers } = await createApiKey(app, ['connections:write'])
    const { users } = app.store
    const { user: ada } = await users.findOrCreate('ada@example.com', null)
    const { user: grace } = await users.findOrCreate('grace@example.com', null)
    const state = async (user: number) =>
      new URL(
        (await app.inject({ url: `/auth/jira/login?state=user_id%3D${user}`, headers })).json()
          .url as string
      ).searchParams.get('state') ?? ''
    const first = await state(ada.id)
    for (let i = 0; i < 20; i++) await state(grace.id)
    const code = async (issued: string) =>
      (
        await app.inject({
          url: `/auth/jira/callback?code=none&state=${issued}`,
          headers: { accept: 'application/json' }
        })
      ).json().code as string
    t.equal(await code('x'.repeat(43)), 'unknown_state')
    t.not(await code(first), 'unknown_state', 'its state is still valid')
  }
)

t.test(
  'T34 Keeps at most the allowed number of abandoned logins, and each one in the middle of its exchange',
  async (t) => {
    const {
      app: {
        store: { loginFlows }
      }
    } = await buildTestApp(t)
    const start = async (name: string, i: number) => {
      await loginFlows.start(
        {
          stateHash: `${name}${i}`,
          provider: 'jira',
          clientId: 'c',
          redirectUri: 'r',
          callerState: null,
          returnUrl: null,
          scopes: '',
          changeAccount: 0,
          browserHash: null,
          userId: null,
          quotaKey: name,
          initiator: '',
          expiresAt: new Date(Date.now() + 600_000 + i)
        },
        MAX_OPEN
      )
    }
    const countRemaining = async (name: string, count: number) =>
      (
        await Promise.all(
          Array.from({ length: count }, async (_, i) =>
            (await loginFlows.get(`${name}${i}`)) !== undefined ? i : -1
          )
        )
      ).filter((i) => i >= 0)
    await start('other', 0)
    await start('ada', 0)
    t.equal(await loginFlows.claim('ada0', 'code'), true)
    for (let i = 1; i < 200; i++) await start('ada', i)
    t.same(await countRemaining('ada', 200), [0, 197, 198, 199])
    t.same(await countRemaining('other', 1), [0])
  }
)

t.test(
  'T34 Never keeps more open logins than allowed, and drops at most a twentieth too many',
  async (t) => {
    const {
      app: {
        store: { loginFlows }
      }
    } = await buildTestApp(t)
    const [maxOpen, share] = [100, 5]
    const names = Array.from({ length: 230 }, (_, i) => `s${i}`)
    for (const [i, stateHash] of names.entries()) {
      const flow = createFlow(stateHash, new Date(Date.now() + 600_000 + i))
      await loginFlows.start(flow, maxOpen)
      if (i < maxOpen + share * 2 && i % share !== 2) continue
      const kept = await Promise.all(
        names.slice(0, i + 1).map(async (name) => (await loginFlows.get(name)) !== undefined)
      )
      const count = kept.filter(Boolean).length
      t.ok(count <= maxOpen, `${count} after ${i + 1}`)
      t.ok(count >= Math.min(i + 1, maxOpen - share + 1), `${count} after ${i + 1}`)
      t.equal(kept.lastIndexOf(false), i - count, 'the newest remain')
    }
  }
)
