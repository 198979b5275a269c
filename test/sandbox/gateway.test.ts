import t from 'tap'
import { ACME, createCallers, getWithToken, GLOBEX, signIn, startSandbox } from './helper.ts'
import { JIRA_REQUIREMENTS } from '../../src/sandbox/jira/scopes.ts'

t.test(
  'accessible-resources lists a site per product, in varying order, without offline_access and read:me',
  async (t) => {
    const { url } = await startSandbox(t)
    const { access_token: token } = await signIn(url)
    const orders = new Set<string>()
    for (let turn = 0; turn < 10; turn++) {
      const { status, body } = await getWithToken(`${url}/oauth/token/accessible-resources`, token)
      t.equal(status, 200)
      t.strictSame(body.map(({ id }: { id: string }) => id).sort(), [ACME, ACME, GLOBEX, GLOBEX])
      t.notMatch(JSON.stringify(body), /offline_access|read:me/)
      orders.add(
        body.map(({ id, scopes }: { id: string; scopes: string[] }) => id + scopes[0]).join()
      )
    }
    t.ok(orders.size > 1)
  }
)

t.test('/me returns the account to tokens with read:me', async (t) => {
  const { url } = await startSandbox(t)
  const { access_token: token } = await signIn(url, { sandbox_account: 'sam' })
  t.match(await getWithToken(`${url}/me`, token), {
    status: 200,
    body: { account_id: /^712020:/, name: 'Sam Reed', zoneinfo: 'America/New_York' }
  })
  const { access_token: other } = await signIn(url, { scope: 'read:jira-work' })
  t.match(await getWithToken(`${url}/me`, other), { status: 401 })
})

t.test(
  'the gateway checks the token, then the scopes, then the site, then the grant',
  async (t) => {
    const { url } = await startSandbox(t)
    const none = await getWithToken(`${url}/ex/jira/${ACME}/rest/api/3/myself`, 'nonsense')
    t.match(none, { status: 401, body: { code: 401, message: 'Unauthorized' } })
    t.ok(none.headers.get('atl-traceid'))

    const { access_token: token } = await signIn(url, { scope: 'read:jira-work' })
    const scope = {
      status: 401,
      body: { code: 401, message: 'Unauthorized; scope does not match' }
    }
    const refused = await createCallers(url, token).jira('/myself')
    t.match(refused, scope)
    t.equal(refused.headers.get('x-failure-category'), 'FAILURE_CLIENT_SCOPE_CHECK')
    t.match(await createCallers(url, token).wiki('/api/v2/no/such/route'), scope)
    t.match(await createCallers(url, token, 'no-cloud').jira('/myself'), scope)
    t.match(await createCallers(url, token).jira('/no/such/route'), {
      status: 404,
      body: { errorMessages: [/./] }
    })
    t.match(await createCallers(url, token, 'cloud-id').jira('/project/search'), {
      status: 404,
      body: {
        status: 404,
        error: 'Not Found',
        message: 'No message available',
        path: '/ex/jira/cloud-id/rest/api/3/project/search'
      }
    })
  }
)

t.test(
  'classic scopes do not open Confluence v2, granular ones do not open CQL, Jira needs its whole set',
  async (t) => {
    const { url } = await startSandbox(t)
    const classic = createCallers(
      url,
      (await signIn(url, { scope: 'read:confluence-content.all search:confluence' })).access_token
    )
    t.equal((await classic.wiki('/api/v2/pages')).status, 401)
    t.equal((await classic.wiki('/rest/api/search?cql=type=page')).status, 200)
    const granular = createCallers(
      url,
      (await signIn(url, { scope: 'read:page:confluence read:space-details:confluence' }))
        .access_token
    )
    t.equal((await granular.wiki('/api/v2/pages')).status, 200)
    t.equal((await granular.wiki('/api/v2/spaces')).status, 401)
    t.equal((await granular.wiki('/rest/api/search?cql=type=page')).status, 401)

    const all = [...(JIRA_REQUIREMENTS.projectSearch[1] ?? [])]
    t.equal(
      (
        await createCallers(url, (await signIn(url, { scope: all.join(' ') })).access_token).jira(
          '/project/search'
        )
      ).status,
      200
    )
    t.equal(
      (
        await createCallers(
          url,
          (await signIn(url, { scope: all.slice(1).join(' ') })).access_token
        ).jira('/project/search')
      ).status,
      401
    )
  }
)

t.test('each API reports a lost product in its own way', async (t) => {
  const { url, admin } = await startSandbox(t)
  const { access_token: token } = await signIn(url)
  for (const product of ['jira', 'confluence']) {
    await admin('product-access', { site: 'acme', product, account_id: 'dana', granted: false })
  }
  const { jira, wiki } = createCallers(url, token)
  t.match(await jira('/project/search'), {
    status: 403,
    body: { errorMessages: ['The app is not installed on this instance.'] }
  })
  t.match(await wiki('/rest/api/search?cql=type=page'), {
    status: 403,
    body: { statusCode: 403, message: 'Current user not permitted to use Confluence' }
  })
  t.match(await wiki('/api/v2/pages'), {
    status: 404,
    body: { errors: [{ status: 404, code: 'NOT_FOUND', title: 'Not Found' }] }
  })
  await admin('product-access', {
    site: 'acme',
    product: 'jira',
    account_id: 'dana',
    granted: true
  })
  t.equal((await jira('/project/search')).status, 200)
})

t.test("removed calls return each product's 410 message", async (t) => {
  const { url } = await startSandbox(t)
  const { access_token: token } = await signIn(url, {
    scope: 'read:jira-work read:confluence-content.all'
  })
  const { jira, jiraPost, wiki } = createCallers(url, token)
  const jql = {
    status: 410,
    body: {
      errorMessages: [
        /The requested API has been removed. Please migrate to the \/rest\/api\/3\/search\/jql API/
      ],
      errors: {}
    }
  }
  t.match(await jira('/search?jql=project=PAY'), jql)
  t.match(await jiraPost('/search', { jql: 'project=PAY' }), jql)
  const v1 = {
    status: 410,
    body: {
      statusCode: 410,
      data: { authorized: true },
      message: /GoneException: This deprecated endpoint has been removed/
    }
  }
  t.match(await wiki('/rest/api/content'), v1)
  t.match(await wiki('/rest/api/content/123/child/page'), v1)
  t.match(await wiki('/rest/api/space/ENG'), v1)
})

t.test('serverInfo needs no scope, and myself returns the time zone', async (t) => {
  const { url } = await startSandbox(t)
  const { access_token: token } = await signIn(url)
  t.match(await createCallers(url, token).jira('/serverInfo'), {
    status: 200,
    body: { baseUrl: 'https://acme.atlassian.net', deploymentType: 'Cloud' }
  })
  t.match(await createCallers(url, token).jira('/myself'), {
    status: 200,
    body: { timeZone: 'Europe/Riga', accountId: /^712020:/ }
  })
  t.match(await createCallers(url, token).wiki('/rest/api/user/current'), {
    status: 200,
    body: { accountId: /^712020:/ }
  })
})
