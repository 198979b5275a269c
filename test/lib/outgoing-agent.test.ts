import t, { type Test } from 'tap'
import { PROTECTED_ENV, buildBearerHeader, startIdentityProvider } from '../access/helper.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import {
  Browser,
  OAUTH_CLIENTS,
  answerConsentPage,
  buildSandboxEnv,
  buildTestApp,
  waitFor,
  waitForRun
} from '../helper.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { serveOverTls, startConnectProxy } from './connect-proxy.ts'

const PASSWORD = 'pl4nted-proxy-password'

/** The service with a sandbox that it reaches only through a proxy with credentials. */
async function startBehindProxy(t: Test, env: NodeJS.ProcessEnv = {}) {
  const sandbox = await startSandbox(t, { clients: OAUTH_CLIENTS, ...SMALL_SANDBOX })
  const port = await serveOverTls(t, sandbox.url)
  const proxy = await startConnectProxy(t)
  const origin = `https://sandbox.test:${port}`
  const { app, lines, logText } = await buildTestApp(t, {
    ...buildSandboxEnv(origin),
    HTTPS_PROXY: `http://connector:${PASSWORD}@${proxy.host}`,
    ...env
  })
  await app.ready()
  return { app, lines, logText, sandbox, origin, port, proxy: proxy.state }
}

t.test(
  'A login and a sync pass the proxy, in few tunnels; its password is in no log line',
  async (t) => {
    const { app, sandbox, origin, port, proxy, logText } = await startBehindProxy(t)
    const browser = new Browser(app)
    const { headers } = await browser.open('/auth/jira/login?redirect=true')
    const consent = String(headers.location).replace(origin, sandbox.url)
    const callback = await browser.open(await answerConsentPage(consent))
    t.match(callback.headers.location, /status=success/)
    const run = await waitForRun(app, 'jira')
    t.equal(run.state, 'succeeded')
    const calls = (run.counts as { upstream_calls: number }).upstream_calls + 3
    t.ok(proxy.targets.length < calls, `${proxy.targets.length} tunnels for ${calls} calls`)
    t.same([...new Set(proxy.targets)], [`sandbox.test:${port}`])
    t.same(
      [...proxy.credentials],
      [`Basic ${Buffer.from(`connector:${PASSWORD}`).toString('base64')}`]
    )
    app.log.info(`a message with ${PASSWORD} and ${[...proxy.credentials].join('')}`)
    t.notMatch(logText(), PASSWORD)
    t.notMatch(logText(), Buffer.from(`connector:${PASSWORD}`).toString('base64'))
  }
)

t.test('Hosts of NO_PROXY are reached directly; http never takes the proxy', async (t) => {
  const { app, port, proxy, sandbox } = await startBehindProxy(t, {
    NO_PROXY: 'localhost, 127.0.0.1'
  })
  const get = async (url: string) => await app.httpClient({ url, log: app.log })
  t.ok((await get(`https://127.0.0.1:${port}/nothing`)).status)
  t.ok((await get(`${sandbox.url}/nothing`)).status)
  t.same(proxy.targets, [])
  t.ok((await get(`https://sandbox.test:${port}/nothing`)).status)
  t.equal(proxy.targets.length, 1)
})

t.test(
  'A proxy that refuses, or does not answer, fails the call in time; then calls pass again',
  async (t) => {
    const { app, port, proxy, logText } = await startBehindProxy(t, {
      UPSTREAM_CONNECT_TIMEOUT_MS: '1000',
      UPSTREAM_ANSWER_TIMEOUT_MS: '1000'
    })
    const get = async (signal?: AbortSignal) =>
      await app.httpClient({
        url: `https://sandbox.test:${port}/nothing`,
        log: app.log,
        ...(signal === undefined ? {} : { signal })
      })
    proxy.mode = 'refusing'
    await t.rejects(get(), { code: 'upstream_unreachable' })
    proxy.mode = 'silent'
    const results = await Promise.allSettled(Array.from({ length: 5 }, async () => await get()))
    for (const result of results) t.match(result, { reason: { code: 'upstream_timeout' } })
    const abort = new AbortController()
    const aborted = get(abort.signal)
    setTimeout(() => abort.abort(), 50)
    await t.rejects(aborted, { code: 'interrupted' })
    proxy.mode = 'open'
    // A tunnel that the proxy never opened is given up after the time-out of connecting.
    t.ok(await waitFor(async () => (await get().catch(() => undefined))?.status))
    t.notMatch(logText(), PASSWORD)
  }
)

t.test('The keys of the identity provider are downloaded through the proxy', async (t) => {
  const idp = await startIdentityProvider(t)
  const { origin, pathname } = new URL(idp.env.JWT_JWKS_URL)
  const port = await serveOverTls(t, origin)
  const proxy = await startConnectProxy(t)
  const { app } = await buildTestApp(t, {
    ...PROTECTED_ENV,
    ...idp.env,
    JWT_JWKS_URL: `https://sandbox.test:${port}${pathname}`,
    https_proxy: proxy.host
  })
  const headers = buildBearerHeader(await idp.sign({ sub: 'ada' }))
  t.equal((await app.inject({ url: '/users/1', headers })).statusCode, 200)
  t.same(proxy.state.targets, [`sandbox.test:${port}`])
})
