import t from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import { Browser, OAUTH_CLIENTS, waitForRun, type TestApp } from '../helper.ts'
import { ACME, GLOBEX } from '../sandbox/helper.ts'

const UNKNOWN_CLOUD_ID = '8f0c1d3e-2222-4b4b-9a9a-000000000003'
/** Clients whose consents include every site of the account. */
const accountClients = OAUTH_CLIENTS.map((client) => ({ ...client, access: 'account' as const }))
const RESOURCES_ENDPOINT = { path: 'accessible-resources' }

const getConnection = async ({ app }: TestApp, product = 'jira') =>
  (await app.inject('/users/1/connections'))
    .json()
    .connections.find((each: { product: string }) => each.product === product)
const selectSites = async ({ app }: TestApp, payload: unknown, product = 'jira') =>
  await app.inject({
    method: 'PUT',
    url: `/users/1/connections/${product}/site`,
    payload: payload as object
  })
const checkConnection = async ({ app }: TestApp, product = 'jira') =>
  await app.inject({ method: 'POST', url: `/users/1/connections/${product}/check` })
const listStateChanges = async ({ app }: TestApp) =>
  (await app.inject('/users/1/connections/jira/history')).json().map(({ to }: { to: string }) => to)

async function runSync({ app }: TestApp, product = 'jira') {
  return await waitForRun(
    app,
    product,
    (await app.inject({ method: 'POST', url: `/integrations/${product}/sync` })).json().id
  )
}

/** Sites of the copied items; items posted by hand have no site. */
async function listSourceSites({ app }: TestApp): Promise<string[]> {
  const rows = (await app.inject('/jira/projects/1')).json() as Array<{ url: string | null }>
  return [
    ...new Set(
      rows.map(({ url }) =>
        url === null ? 'hand' : new URL(url).hostname.replace('.atlassian.net', '')
      )
    )
  ].sort()
}

async function connectToSites(running: TestService, ...sites: string[]) {
  await new Browser(running.app).connect('jira')
  await waitForRun(running.app, 'jira')
  if (sites.length === 0) return
  await selectSites(running, { cloud_ids: sites })
  await waitForRun(running.app, 'jira', 2)
}

async function postProject({ app }: TestApp) {
  return await app.inject({
    method: 'POST',
    url: '/jira/projects',
    payload: { owner_id: 1, key: 'HAND', name: 'By hand' }
  })
}

t.test('Selects a single site automatically and shows it', async (t) => {
  const running = await startTestService(t)
  const browser = new Browser(running.app)
  await browser.open(await browser.consent('jira', { extra: '&sandbox_site=globex' }))
  await waitForRun(running.app, 'jira')
  const site = { cloud_id: GLOBEX, name: 'globex', url: 'https://globex.atlassian.net' }
  t.match(await getConnection(running), {
    state: 'active',
    site,
    sites: [{ ...site, selected: true, reachable: true }]
  })
  t.equal((await getConnection(running)).sites.length, 1)
  t.same(await listSourceSites(running), ['globex'])
})

t.test(
  'Several sites require a selection: none is selected at first, one or all can be',
  async (t) => {
    const running = await startTestService(t, {}, { clients: accountClients })
    await connectToSites(running)
    t.match(await getConnection(running), {
      state: 'needs_site',
      site: null,
      last_error: /^The consent reaches 2 sites with Jira\. Choose with PUT .*\/jira\/site\.$/
    })
    t.strictSame(
      (await getConnection(running)).sites.map(
        ({ name, selected, reachable }: Record<string, unknown>) => [name, selected, reachable]
      ),
      [
        ['acme', false, true],
        ['globex', false, true]
      ]
    )
    t.same(await listSourceSites(running), [])
    const one = await selectSites(running, { cloud_id: GLOBEX })
    t.equal(one.statusCode, 200)
    t.match(one.json(), {
      product: 'jira',
      state: 'active',
      last_error: null,
      site: { cloud_id: GLOBEX },
      sites: [
        { name: 'acme', selected: false },
        { name: 'globex', selected: true }
      ]
    })
    t.strictSame(one.json(), await getConnection(running), 'the response is the connection')
    t.match(await waitForRun(running.app, 'jira', 2), { state: 'succeeded' })
    t.same(await listSourceSites(running), ['globex'])
    t.match((await selectSites(running, { cloud_ids: [GLOBEX, ACME] })).json(), {
      state: 'active',
      site: null,
      sites: [{ selected: true }, { selected: true }]
    })
    t.match(await waitForRun(running.app, 'jira', 3), { state: 'succeeded' })
    t.same(await listSourceSites(running), ['acme', 'globex'])
    t.same(await listStateChanges(running), ['active', 'needs_site'])
  }
)

t.test('An invalid selection is rejected before any call and changes nothing', async (t) => {
  const running = await startTestService(t, {}, { clients: accountClients })
  await connectToSites(running, ACME)
  // The next run is scheduled just after the end of the first.
  const readConnection = async () => ({ ...(await getConnection(running)), next_sync_at: null })
  const before = await readConnection()
  const getCallCounts = async () => (await running.sandbox.admin('stats', undefined, 'GET')).calls
  const calls = await getCallCounts()
  const wrong = [
    {},
    null,
    [],
    { cloud_id: ACME, cloud_ids: [ACME] },
    { site: ACME },
    { cloud_id: ACME, name: 'acme' },
    { cloud_id: 'acme' },
    { cloud_id: '' },
    { cloud_id: `${ACME}0` },
    { cloud_id: 7 },
    { cloud_id: null },
    { cloud_id: [ACME] },
    { cloud_ids: [] },
    { cloud_ids: ACME },
    { cloud_ids: [ACME, ACME] },
    { cloud_ids: [ACME, 7] },
    {
      cloud_ids: Array.from({ length: 101 }, (_, i) => ACME.slice(3) + String(i).padStart(3, '0'))
    }
  ]
  for (const payload of wrong) {
    t.match(
      (await selectSites(running, payload)).json(),
      { status: 422, code: 'validation_failed', errors: [{ detail: /\.$/ }] },
      JSON.stringify(payload)
    )
  }
  t.strictSame(await getCallCounts(), calls)
  const odd = [
    UNKNOWN_CLOUD_ID,
    ACME.toUpperCase(),
    'x'.repeat(36),
    `../../../admin/${'x'.repeat(21)}`
  ]
  for (const id of odd) {
    t.match(
      (await selectSites(running, { cloud_id: id })).json(),
      {
        status: 422,
        errors: [{ pointer: '/cloud_id', detail: /does not reach this site with Jira/ }]
      },
      id
    )
  }
  t.match(
    (await selectSites(running, { cloud_ids: [ACME, UNKNOWN_CLOUD_ID] })).json(),
    { status: 422, errors: [{ pointer: '/cloud_ids' }] },
    'not a single site'
  )
  t.strictSame(await readConnection(), before)
  t.same(await listSourceSites(running), ['acme'])
})

t.test(
  'Without a user or a connection there is nothing to select; an ended consent is reported',
  async (t) => {
    const running = await startTestService(t)
    t.match((await selectSites(running, { cloud_id: ACME })).json(), {
      status: 404,
      code: 'user_not_found'
    })
    await connectToSites(running)
    t.match((await selectSites(running, { cloud_id: ACME }, 'confluence')).json(), {
      status: 404,
      code: 'connection_not_found'
    })
    await running.sandbox.admin('revoke', {})
    running.advanceTime(3_600_000)
    t.match((await selectSites(running, { cloud_id: ACME })).json(), {
      status: 409,
      code: 'needs_reconnect'
    })
    t.match(await getConnection(running), { state: 'needs_reconnect', site: { cloud_id: ACME } })
    t.match((await selectSites(running, { cloud_id: ACME })).json(), {
      status: 409,
      code: 'needs_reconnect'
    })
  }
)

t.test(
  'The selection uses a fresh list: a removed site is rejected, a new one is accepted',
  async (t) => {
    const running = await startTestService(t, {}, { clients: accountClients })
    await connectToSites(running)
    await running.sandbox.admin('uninstall', { site: 'globex' })
    t.match((await selectSites(running, { cloud_id: GLOBEX })).json(), {
      status: 422,
      errors: [{ pointer: '/cloud_id' }]
    })

    const other = await startTestService(t)
    await connectToSites(other)
    t.equal((await getConnection(other)).sites.length, 1)
    await new Browser(other.app).consent('jira', { extra: '&sandbox_site=globex' })
    t.match((await selectSites(other, { cloud_id: GLOBEX })).json(), {
      state: 'active',
      site: { cloud_id: GLOBEX },
      sites: [{ name: 'acme' }, { name: 'globex' }]
    })
    t.match(await waitForRun(other.app, 'jira', 2), { state: 'succeeded' })
    t.same(await listSourceSites(other), ['globex'])
  }
)

for (const [how, trigger] of [
  ['copy', runSync],
  ['check', checkConnection]
] as const) {
  t.test(`A removed site is detected at the next ${how}; no other site replaces it`, async (t) => {
    const running = await startTestService(t, {}, { clients: accountClients })
    await connectToSites(running, ACME)
    await running.sandbox.admin('uninstall', { site: 'acme' })
    const result = await trigger(running)
    if (how === 'copy') {
      t.match(result, {
        state: 'failed',
        error: { code: 'site_removed', detail: /no longer reaches a site that was chosen/ }
      })
    }
    t.match(await getConnection(running), {
      state: 'needs_site',
      last_error: /^The consent no longer reaches a site that was chosen\..*PUT .*\/site\.$/,
      site: { cloud_id: ACME }
    })
    t.strictSame(
      (await getConnection(running)).sites.map(
        ({ name, selected, reachable }: Record<string, unknown>) => [name, selected, reachable]
      ),
      [
        ['globex', false, true],
        ['acme', true, false]
      ]
    )
    t.match(await runSync(running), {
      state: 'failed',
      error: { code: 'site_removed' },
      counts: { upstream_calls: 0 }
    })
    t.same(await listSourceSites(running), ['acme'], 'copied items remain')
    const { log } = (await running.sandbox.admin('stats', undefined, 'GET')) as {
      log: Array<{ path: string }>
    }
    t.notOk(log.some(({ path }) => path.includes(GLOBEX)))
    t.same(await listStateChanges(running), ['needs_site', 'active', 'needs_site'], 'reported once')
    await new Browser(running.app).connect('jira')
    t.match(
      await getConnection(running),
      { state: 'active', site: { cloud_id: ACME } },
      'a consent that includes the site again repairs the connection'
    )
  })
}

t.test(
  'When the only site is removed, the connection has none; a new site is not selected automatically',
  async (t) => {
    const running = await startTestService(t)
    await connectToSites(running)
    await running.sandbox.admin('uninstall', { site: 'acme' })
    t.match((await checkConnection(running)).json(), {
      state: 'needs_site',
      sites: [{ name: 'acme', selected: true, reachable: false }]
    })
    const browser = new Browser(running.app)
    await browser.open(await browser.consent('jira', { extra: '&sandbox_site=globex' }))
    await waitForRun(running.app, 'jira', 2)
    t.match(await getConnection(running), { state: 'needs_site', site: { cloud_id: ACME } })
    t.same(await listSourceSites(running), ['acme'])
  }
)

t.test(
  'Connecting again keeps the selected site, even if the consent includes others',
  async (t) => {
    const running = await startTestService(t, {}, { clients: accountClients })
    await connectToSites(running, GLOBEX)
    await new Browser(running.app).connect('jira')
    t.match(await getConnection(running), { state: 'active', site: { cloud_id: GLOBEX } })
    t.match(await waitForRun(running.app, 'jira', 3), { state: 'succeeded' })
    t.same(await listSourceSites(running), ['globex'])
  }
)

t.test(
  'A new selection erases the copies of the deselected site, and not the items posted by hand',
  async (t) => {
    const running = await startTestService(t, {}, { clients: accountClients })
    await connectToSites(running, ACME, GLOBEX)
    await postProject(running)
    t.same(await listSourceSites(running), ['acme', 'globex', 'hand'])
    await selectSites(running, { cloud_id: GLOBEX })
    t.same(await listSourceSites(running), ['globex', 'hand'], 'at once')
    await waitForRun(running.app, 'jira', 3)
    t.same(await listSourceSites(running), ['globex', 'hand'])
  }
)

t.test(
  'A selection made while the deselected site is being copied holds: copies the new site, not the old one',
  async (t) => {
    const running = await startTestService(t, {}, { clients: accountClients })
    await connectToSites(running, ACME)
    await running.sandbox.admin('faults', {
      kind: 'delay',
      delay_ms: 300,
      match: { path: `${ACME}/rest/api/3/project/search` }
    })
    const { id } = (
      await running.app.inject({ method: 'POST', url: '/integrations/jira/sync' })
    ).json()
    t.match((await selectSites(running, { cloud_id: GLOBEX })).json(), {
      state: 'active',
      site: { cloud_id: GLOBEX }
    })
    await waitForRun(running.app, 'jira', id)
    const next = await running.app.inject(`/integrations/jira/sync/runs/${id + 1}`)
    if (next.statusCode === 200) await waitForRun(running.app, 'jira', id + 1)
    t.same(await listSourceSites(running), ['globex'])
  }
)

t.test(
  'A site listed once for each product is one site; an invalid entry is left out',
  async (t) => {
    const running = await startTestService(t)
    await connectToSites(running)
    const acme = (scopes: unknown) => ({
      id: ACME,
      name: 'acme',
      url: 'https://acme.atlassian.net',
      scopes
    })
    const globex = (scopes: string[]) => ({
      id: GLOBEX,
      name: 'globex',
      url: 'https://globex.atlassian.net/',
      scopes
    })
    const [jira, wiki] = [['read:jira-work'], ['read:page:confluence']]
    const junk = [
      null,
      'acme',
      7,
      { id: '..', url: 'https://acme.atlassian.net', scopes: jira },
      { id: UNKNOWN_CLOUD_ID, scopes: jira },
      { id: UNKNOWN_CLOUD_ID, url: 'javascript:1', scopes: jira },
      { ...acme(jira), id: undefined }
    ]
    const listed = async (body: unknown) => {
      await running.sandbox.admin('faults', {
        kind: 'status',
        status: 200,
        body,
        match: RESOURCES_ENDPOINT
      })
      return (await checkConnection(running))
        .json()
        .sites.map(({ name, url }: Record<string, unknown>) => `${name} ${url}`)
    }
    const [one, two] = ['acme https://acme.atlassian.net', 'globex https://globex.atlassian.net']
    for (const body of [
      [acme(jira)],
      [acme(jira), acme(wiki)],
      [acme(wiki), acme(jira), acme(wiki)],
      [acme(jira), acme(jira), acme(undefined), acme('read')],
      [...junk, acme(jira), ...junk]
    ]) {
      t.same(await listed(body), [one])
    }
    t.same(
      await listed([globex(wiki), acme(wiki), globex(jira), acme(jira)]),
      [one, two],
      'unordered'
    )
    t.same(
      await listed([globex(wiki), acme(jira), acme(wiki)]),
      [one],
      'a site without the product is left out'
    )
    t.same(await listStateChanges(running), ['active'])
    await running.sandbox.admin('faults', {
      kind: 'status',
      status: 200,
      body: { values: [acme(jira)] },
      match: RESOURCES_ENDPOINT
    })
    t.match((await checkConnection(running)).json(), {
      status: 502,
      code: 'upstream_invalid_answer'
    })
    t.match(await getConnection(running), {
      state: 'active',
      sites: [{ name: 'acme', selected: true, reachable: true }]
    })
  }
)
