import t from 'tap'
import { KEY, createSecret } from '../../src/access/secrets.ts'
import { collectConsoleErrors, launchBrowser, startBrowserService, takePicture } from './helper.ts'

const ADMIN_KEY = createSecret(KEY)

/** The service with production access rules, and requests of a back end with its key. */
async function startProtectedService(t: Parameters<typeof startBrowserService>[0]) {
  const base = await startBrowserService(t, {
    API_ACCESS: 'protected',
    BOOTSTRAP_API_KEY: ADMIN_KEY
  })
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }
  return {
    base,
    async createSession(body: object) {
      const answer = await fetch(`${base}/connect-sessions`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body)
      })
      if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`)
      return (await answer.json()) as { user_id: number; url: string; token: string }
    },
    connections: async (id: number) =>
      (
        (await (await fetch(`${base}/users/${id}/connections`, { headers })).json()) as {
          connections: Array<{ product: string; state: string }>
        }
      ).connections
  }
}

t.test(
  'A person opens a connect session link, picks a product, consents and returns; other browsers cannot',
  async (t) => {
    const { base, createSession, connections } = await startProtectedService(t)
    const { user_id: id, url, token } = await createSession({ user: 'ada@example.com' })
    const page = await (await launchBrowser(t)).newPage()
    const consoleErrors = collectConsoleErrors(page)
    await page.goto(url)
    t.equal(await page.textContent('h1'), 'Connect Jira or Confluence for ada@example.com')
    await takePicture(page, 'connect-link')
    await page.getByRole('button', { name: 'Connect Confluence' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'Accept' }).click()
    await page.waitForURL(/status=success/)
    t.equal(await page.textContent('h1'), 'Confluence is connected')
    t.equal(await page.evaluate('document.referrer'), '')
    t.same(consoleErrors, [])
    t.match(await connections(id), [{ product: 'confluence', state: 'active' }])

    t.test(
      "The browser's cookie reads this one user only, and scripts cannot read the cookie",
      async (t) => {
        // The page after the login loads itself again, this one does not.
        await page.goto(`${base}/connect`)
        t.equal(await page.evaluate('document.cookie'), '')
        // With the browser's cookies, but not from a page: the pages' Content-Security-Policy
        // blocks requests.
        const status = async (path: string, method = 'GET') =>
          (await page.request.fetch(base + path, { method })).status()
        t.equal(await status(`/users/${id}/connections`), 200)
        t.not((await createSession({ user: 'grace@example.com' })).user_id, id)
        t.equal(await status(`/users/${id + 1}/connections`), 404)
        t.equal(await status('/users'), 401)
        t.equal(await status(`/users/${id}/connections/confluence`, 'DELETE'), 401)
      }
    )

    t.test('Another browser that opens the link sees that it has expired', async (t) => {
      const other = await (await launchBrowser(t)).newPage()
      const answer = await other.goto(url)
      t.equal(answer?.status(), 401)
      t.equal(await other.textContent('h1'), 'Link expired')
      t.notMatch(await other.content(), token)
    })
  }
)

t.test('A session for one product needs one button', async (t) => {
  const { createSession, connections } = await startProtectedService(t)
  const { user_id: id, url } = await createSession({ user: 'ada@example.com', products: ['jira'] })
  const page = await (await launchBrowser(t)).newPage()
  await page.goto(url)
  await page.getByRole('button', { name: 'Connect Jira' }).click()
  await page.getByRole('button', { name: 'Accept' }).click()
  await page.waitForURL(/status=success/)
  t.match(await connections(id), [{ product: 'jira', state: 'active' }])
})

t.test('A link of somebody else asks before it replaces a live session', async (t) => {
  const { base, createSession } = await startProtectedService(t)
  const ada = await createSession({ user: 'ada@example.com', products: ['jira'] })
  const eve = await createSession({ user: 'eve@example.com', products: ['jira'] })
  const page = await (await launchBrowser(t)).newPage()
  const consoleErrors = collectConsoleErrors(page)
  await page.goto(ada.url)
  await page.getByRole('button', { name: 'Connect Jira' }).click()
  await page.getByRole('button', { name: 'Accept' }).waitFor()
  await page.goto(eve.url)
  t.match(await page.textContent('main'), /connecting accounts for ada@example\.com/)
  await takePicture(page, 'connect-link-replaces')
  await page.goto(`${base}/connect`)
  t.equal(await page.textContent('h1'), 'Connect Jira for ada@example.com')
  await takePicture(page, 'connect-opened')
  await page.getByRole('button', { name: 'Stop connecting in this browser' }).click()
  t.equal(await page.textContent('h1'), 'Stopped')
  t.equal((await page.goto(`${base}/connect`))?.status(), 401)
  t.equal(consoleErrors.length, 1, 'only the 401')
})

t.test('A login that a front end starts continues on a page that names the user', async (t) => {
  const { base, createSession, connections } = await startProtectedService(t)
  const { user_id: id, token } = await createSession({ user: 'ada@example.com' })
  const login = await fetch(`${base}/auth/jira/login`, {
    headers: { authorization: `Bearer ${token}` }
  })
  const { url } = (await login.json()) as { url: string }
  const page = await (await launchBrowser(t)).newPage()
  const consoleErrors = collectConsoleErrors(page)
  await page.goto(url)
  t.equal(await page.textContent('h1'), 'Connect Jira for ada@example.com')
  await takePicture(page, 'continue')
  t.equal(await page.evaluate('document.cookie'), '')
  await page.getByRole('button', { name: 'Connect Jira' }).click()
  await page.getByRole('button', { name: 'Accept' }).click()
  await page.waitForURL(/status=success/)
  t.same(consoleErrors, [])
  t.match(await connections(id), [{ product: 'jira', state: 'active' }])
})
