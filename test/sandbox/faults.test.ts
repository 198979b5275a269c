import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { buildSandbox } from '../../src/sandbox/server.ts'
import { createSandboxState } from '../../src/sandbox/create-state.ts'
import { createCallers, refreshTokens, signIn, startSandbox } from './helper.ts'

async function start(t: Parameters<typeof startSandbox>[0]) {
  const sandbox = await startSandbox(t)
  const tokens = await signIn(sandbox.url)
  return { ...sandbox, tokens, ...createCallers(sandbox.url, tokens.access_token) }
}

t.test(
  'a fault affects the given number of matching calls, after the given number of passes',
  async (t) => {
    const { jira, wiki, admin } = await start(t)
    await admin('faults', {
      match: { path: '/ex/jira/*/myself', method: 'get' },
      kind: 'status',
      status: 503,
      body: { message: 'later' },
      headers: { 'retry-after': '2' },
      times: 2,
      skip: 1
    })
    t.equal((await wiki('/api/v2/spaces')).status, 200)
    t.equal((await jira('/myself')).status, 200)
    const spoiled = await jira('/myself')
    t.match(spoiled, { status: 503, body: { message: 'later' } })
    t.equal(spoiled.headers.get('retry-after'), '2')
    t.equal((await jira('/myself')).status, 503)
    t.equal((await jira('/myself')).status, 200)
  }
)

t.test(
  'a response lost after the work: the token is rotated, and the old one still works',
  async (t) => {
    const { url, tokens, admin } = await start(t)
    await admin('faults', { match: { path: '/oauth/token' }, kind: 'drop-after' })
    await t.rejects(refreshTokens(url, tokens.refresh_token))
    t.match(await admin('stats', undefined, 'GET'), { exchanges: { refresh_token: { ok: 1 } } })
    t.equal((await refreshTokens(url, tokens.refresh_token)).status, 200)
  }
)

t.test('a response lost before the work: nothing has changed', async (t) => {
  const { url, tokens, admin } = await start(t)
  await admin('faults', { match: { path: '/oauth/token' }, kind: 'drop-before' })
  await t.rejects(refreshTokens(url, tokens.refresh_token))
  const { exchanges } = await admin('stats', undefined, 'GET')
  t.notOk((exchanges as Record<string, unknown>).refresh_token)
})

t.test('responses can be HTML, garbage, truncated, redirected or huge', async (t) => {
  const { jira, url, tokens, admin } = await start(t)
  const addFault = (kind: string, more = {}) =>
    admin('faults', { match: { path: 'myself' }, kind, ...more })
  await addFault('html')
  const html = await jira('/myself')
  t.match(html, { status: 502, body: /<h1>502 Bad Gateway/ })
  await addFault('garbage')
  await t.rejects(jira('/myself'), SyntaxError)
  await addFault('truncate')
  await t.rejects(jira('/myself'))
  await addFault('redirect', { headers: { location: 'https://elsewhere.example/' } })
  const moved = await fetch(`${url}/ex/jira/x/rest/api/3/myself`, { redirect: 'manual' })
  t.match(
    { status: moved.status, to: moved.headers.get('location') },
    { status: 302, to: 'https://elsewhere.example/' }
  )
  await addFault('huge', { bytes: 3_000_000 })
  const huge = await fetch(`${url}/ex/jira/x/rest/api/3/myself`, {
    headers: { authorization: `Bearer ${tokens.access_token}` }
  })
  t.ok((await huge.text()).length >= 3_000_000)
  await addFault('delay', { delay_ms: 5 })
  t.equal((await jira('/myself')).status, 200)
})

t.test('a hanging call ends with the client or the server', async (t) => {
  const state = createSandboxState()
  const app = buildSandbox({ state })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  state.faults.add({ kind: 'hang', match: {}, times: 2, skip: 0 })
  await t.rejects(fetch(`${url}/me`, { signal: AbortSignal.timeout(50) }))
  const refused = t.rejects(fetch(`${url}/me`))
  while (state.faults.list().length > 0) await setImmediate()
  await app.close()
  await refused
})

t.test('inject also drops a dropped call', async (t) => {
  const state = createSandboxState()
  const app = buildSandbox({ state })
  t.teardown(() => app.close())
  for (const kind of ['drop-before', 'drop-after', 'truncate'] as const) {
    state.faults.add({ kind, match: {}, times: 1, skip: 0 })
    await t.rejects(app.inject('/me'), kind)
  }
})

t.test('faults can be listed and removed, and never affect the admin API', async (t) => {
  const { jira, admin } = await start(t)
  await admin('faults', { kind: 'status', times: 100 })
  t.match(await admin('faults', undefined, 'GET'), [{ kind: 'status', times: 100 }])
  t.equal((await jira('/myself')).status, 503)
  await admin('faults', undefined, 'DELETE')
  t.equal((await jira('/myself')).status, 200)
})
