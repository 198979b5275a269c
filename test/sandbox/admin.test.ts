import t from 'tap'
import { createCallers, getWithToken, signIn, startSandbox } from './helper.ts'

t.test('unknown, missing and mistyped fields are rejected by name', async (t) => {
  const { admin } = await startSandbox(t)
  await t.rejects(
    admin('clock', { advance_ms: 1, minutes: 2 }),
    /400 unknown field in body: minutes/
  )
  await t.rejects(admin('clock', {}), /400 body.advance_ms must be a number/)
  await t.rejects(admin('clock', { advance_ms: '1' }), /400 body.advance_ms must be a number/)
  await t.rejects(
    admin('faults', { kind: 'status', match: { url: 'x' } }),
    /400 unknown field in match: url/
  )
  await t.rejects(admin('faults', { kind: 'explode' }), /400 kind must be one of status/)
  await t.rejects(admin('pages/1', { status: 'lost' }), /400 no page 1/)
  await t.rejects(admin('uninstall', { site: 'initech' }), /400 no site initech/)
  await t.rejects(admin('nothing', {}), /404 no admin call POST nothing/)
})

t.test(
  'a body needs the JSON content type, which a page of another origin cannot send without preflight',
  async (t) => {
    const { url } = await startSandbox(t)
    const response = await fetch(`${url}/admin/clock`, { method: 'POST', body: '{"advance_ms":1}' })
    t.equal(response.status, 400)
  }
)

t.test(
  'state summarizes the data, stats counts the calls, and neither contains a token',
  async (t) => {
    const { url, admin } = await startSandbox(t)
    const tokens = await signIn(url)
    await createCallers(url, tokens.access_token).jira('/myself')
    await createCallers(url, tokens.access_token).wiki('/no/such/route')
    await getWithToken(`${url}/nothing/here`, tokens.access_token)
    const state = await admin('state', undefined, 'GET')
    t.match(state, {
      sites: [
        { name: 'acme', sizes: { projects: 12, issues: 300, spaces: 4, pages: 60 } },
        { name: 'globex', sizes: { projects: 2 } }
      ],
      clients: [{ client_id: 'sandbox-client' }],
      grants: [{ families: 1 }]
    })
    const stats = await admin('stats', undefined, 'GET')
    t.match(stats, {
      calls: {
        'GET /ex/jira/{cloudId}/rest/api/3/myself': 1,
        'GET /ex/confluence/{cloudId}/…': 1,
        'POST /oauth/token': 1
      },
      exchanges: { authorization_code: { ok: 1 } },
      connections: Number,
      log: [
        { path: '/authorize', status: 302 },
        { method: 'POST', path: '/oauth/token', token: null },
        { path: /myself$/, status: 200, token: /^[0-9a-f]{16}$/ }
      ]
    })
    const text = JSON.stringify([state, stats])
    for (const secret of [tokens.access_token, tokens.refresh_token, 'sandbox-secret']) {
      t.notOk(text.includes(secret))
    }
  }
)

t.test('reset restores the initial state', async (t) => {
  const { url, admin, state } = await startSandbox(t)
  const before = state.now()
  const { access_token: token } = await signIn(url)
  await admin('projects/10000', { name: 'Changed' })
  await admin('clock', { advance_ms: 60_000 })
  await admin('reset')
  t.ok(state.now() < before + 60_000)
  t.equal((await createCallers(url, token).jira('/myself')).status, 401)
  const { jira } = createCallers(url, (await signIn(url)).access_token)
  t.equal((await jira('/project/10000')).body.name, 'Payments')
})

t.test('the same seed generates the same data, another seed different data', async (t) => {
  const titles = async (seed: number) => {
    const { url } = await startSandbox(t, { seed })
    const { body } = await createCallers(url, (await signIn(url)).access_token).wiki(
      '/api/v2/pages?limit=60'
    )
    return body.results.map(({ id, title }: { id: string; title: string }) => id + title)
  }
  const first = await titles(7)
  t.strictSame(await titles(7), first)
  t.notSame(await titles(8), first)
})

t.test('a sandbox can start empty and contain only added data', async (t) => {
  const { url, admin } = await startSandbox(t, {
    sizes: { projects: 0, issues: 0, spaces: 0, pages: 0 },
    indexLagMs: 0
  })
  const { jira, wiki } = createCallers(url, (await signIn(url)).access_token)
  t.match((await jira('/project/search')).body, { total: 0, isLast: true, values: [] })
  for (const path of [
    '/api/v2/pages',
    '/api/v2/spaces',
    '/api/v2/pages?sort=-modified-date',
    '/rest/api/search?cql=type=page'
  ]) {
    t.strictSame((await wiki(path)).body.results, [], path)
  }
  const { id } = await admin('projects', { key: 'ONE', name: 'The one' })
  t.match(await admin('issues', { project: id, summary: 'First' }), { key: 'ONE-1' })
  t.match((await jira('/search/jql?jql=project=ONE&fields=summary')).body, {
    issues: [{ key: 'ONE-1', fields: { summary: 'First' } }],
    isLast: true
  })
})
