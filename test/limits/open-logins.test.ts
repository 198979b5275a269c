import t from 'tap'
import { keyed, PROTECTED } from '../access/helper.ts'
import { Browser, build, connected, configured } from '../helper.ts'

const MOST = 3

/** The states of logins that one address starts, oldest first. */
async function started(browser: Browser, count: number): Promise<string[]> {
  const callbacks: string[] = []
  for (let i = 0; i < count; i++) {
    callbacks.push(await browser.consent('jira', { query: `&state=n${i}` }))
  }
  return callbacks
}

async function endings(browser: Browser, callbacks: string[]): Promise<Array<string | null>> {
  const found: Array<string | null> = []
  for (const callback of callbacks) {
    const { headers } = await browser.open(callback)
    const { searchParams } = new URL(headers.location ?? '')
    found.push(searchParams.get('error') ?? searchParams.get('status'))
  }
  return found
}

t.test(
  'T34 Of more logins than one caller may have under way, the oldest is forgotten',
  async (t) => {
    const { app } = await connected(t, {
      env: { APP_ENV: 'production', MAX_OPEN_LOGINS: String(MOST) }
    })
    await app.store.users.save('ada@example.com', null)
    const browser = new Browser(app)
    const [oldest = '', ...rest] = await started(browser, MOST + 1)
    t.same(await endings(browser, rest), ['success', 'success', 'success'])
    t.same(await endings(browser, [oldest]), ['unknown_state'])
  }
)

t.test(
  "T34 A key that starts logins for many has each person counted apart: nobody forgets somebody else's",
  async (t) => {
    const { app } = await build(t, {
      ...configured('http://127.0.0.1:9'),
      ...PROTECTED,
      MAX_OPEN_LOGINS: String(MOST)
    })
    const { headers } = await keyed(app, ['connections:write'])
    const state = async (user: number) =>
      new URL(
        (await app.inject({ url: `/auth/jira/login?state=user_id%3D${user}`, headers })).json()
          .url as string
      ).searchParams.get('state') ?? ''
    const first = await state(1)
    for (let i = 0; i < 20; i++) await state(2)
    const code = async (issued: string) =>
      (
        await app.inject({
          url: `/auth/jira/callback?error=access_denied&state=${issued}`,
          headers: { accept: 'application/json' }
        })
      ).json().code as string
    t.equal(await code(first), 'access_denied', 'it is still known')
  }
)

t.test(
  'T34 However many logins somebody abandons, no more rows stay than are allowed; one in the middle of its exchange is kept',
  async (t) => {
    const {
      app: {
        store: { flows }
      }
    } = await build(t)
    const start = async (name: string, i: number) => {
      await flows.start(
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
          opener: name,
          startedBy: '',
          expiresAt: new Date(Date.now() + 600_000 + i)
        },
        MOST
      )
    }
    const left = async (name: string, count: number) =>
      (
        await Promise.all(
          Array.from({ length: count }, async (_, i) =>
            (await flows.get(`${name}${i}`)) !== undefined ? i : -1
          )
        )
      ).filter((i) => i >= 0)
    await start('other', 0)
    await start('ada', 0)
    t.equal(await flows.claim('ada0', 'code'), true)
    for (let i = 1; i < 200; i++) await start('ada', i)
    t.same(await left('ada', 200), [0, 197, 198, 199])
    t.same(await left('other', 1), [0])
  }
)
