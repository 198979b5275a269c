import t from 'tap'
import {
  answerConsentPage,
  Browser,
  buildAppWithSandbox,
  FRONTEND_URL,
  waitForRun
} from '../helper.ts'

/**
 * What the original front end does, request by request (docs/reference/contract.md#4-login-and-callback).
 * Atlassian's tokens are opaque here: nothing may depend on the claims of a JWT.
 */
const PAGE_COUNT = 2_500
const NAVIGATION = {
  accept: 'text/html,application/xhtml+xml',
  'sec-fetch-mode': 'navigate',
  'sec-fetch-dest': 'document',
  'sec-fetch-site': 'cross-site'
}
const FETCH = {
  accept: '*/*',
  origin: FRONTEND_URL,
  'sec-fetch-mode': 'cors',
  'sec-fetch-dest': 'empty'
}
const LOGINS = {
  jira:
    '/auth/jira/login?redirect=true&state=kc-oauth' +
    '&scope=offline_access%20read:jira-work%20read:jira-user' +
    `&return_url=${encodeURIComponent(`${FRONTEND_URL}/oauth/jira`)}`,
  confluence:
    '/auth/confluence/login?state=kc-oauth&scope=read' +
    `&return_url=${encodeURIComponent(`${FRONTEND_URL}/oauth/confluence`)}`
}

t.test('The original front end connects both products and fetches everything', async (t) => {
  const { app, sandbox } = await buildAppWithSandbox(t, {
    env: { APP_ENV: 'production', BACKEND_CORS_ORIGINS: FRONTEND_URL },
    sandbox: { sizes: { projects: 12, issues: 20, spaces: 4, pages: PAGE_COUNT } }
  })
  await sandbox.admin('tokens', { format: 'opaque' })
  const browser = new Browser(app)

  for (const [product, login] of Object.entries(LOGINS)) {
    const start = await browser.open(login, NAVIGATION)
    t.equal(start.statusCode, 307, 'a page navigation is redirected')
    const authorize = new URL(start.headers.location ?? '')
    for (const scope of ['read:me', 'offline_access']) {
      t.ok(authorize.searchParams.get('scope')?.split(' ').includes(scope), `${product}: ${scope}`)
    }
    const landed = await browser.open(await answerConsentPage(authorize.href), NAVIGATION)
    const returned = new URL(landed.headers.location ?? '')
    t.equal(returned.origin + returned.pathname, `${FRONTEND_URL}/oauth/${product}`)
    // The front end's return pages read these two only.
    t.notOk(returned.searchParams.has('error'))
    t.notOk(returned.searchParams.has('message'))
    t.equal(returned.searchParams.get('connection_state'), 'active')
  }

  t.match(await waitForRun(app, 'jira', 1), { state: 'succeeded' })
  t.match(await waitForRun(app, 'confluence', 2), { state: 'succeeded' })
  const fetchItems = async (path: string) => {
    const answer = await app.inject({ url: path, headers: FETCH })
    t.equal(answer.headers['access-control-allow-origin'], FRONTEND_URL)
    return answer.json().items as Array<Record<string, unknown>>
  }
  const projects = await fetchItems('/integrations/jira/projects/fetch')
  t.equal(projects.length, 12)
  for (const project of projects) {
    t.match(project, { id: Number, key: String, name: String, url: String, owner_id: 1 })
    t.ok('lead' in project)
  }
  const pages = await fetchItems('/integrations/confluence/pages/fetch')
  t.equal(pages.length, PAGE_COUNT, 'the whole list')
  t.equal(new Set(pages.map(({ page_id: id }) => id)).size, PAGE_COUNT, 'none is repeated')
  t.match(pages[0], {
    id: Number,
    title: String,
    space_key: String,
    page_id: String,
    url: String,
    owner_id: 1
  })

  const { connections } = (await app.inject('/users/1/connections')).json()
  t.match(connections, [
    { product: 'jira', state: 'active', account_id: String },
    { product: 'confluence', state: 'active', account_id: String }
  ])
})
