import { createServer, type Server } from 'node:https'
import { request as forward } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { generate } from 'selfsigned'
import t from 'tap'
import { Agent, fetch } from 'undici'
import { buildTestApp, waitForRun } from '../helper.ts'
import type { TestContext } from '../types.ts'
import { HttpBrowser } from './browser-visit.ts'

/** How a proxy in front of the service changes the path. */
interface ProxySetup {
  title: string
  prefix: string
  stripsPrefix: boolean
  publicUrl: (origin: string) => string
}

const PROXY_SETUPS: ProxySetup[] = [
  { title: 'keeps /api', prefix: '/api', stripsPrefix: false, publicUrl: (origin) => origin },
  {
    title: 'keeps /api, which PUBLIC_URL includes',
    prefix: '/api',
    stripsPrefix: false,
    publicUrl: (origin) => `${origin}/api`
  },
  {
    title: 'strips /api',
    prefix: '/api',
    stripsPrefix: true,
    publicUrl: (origin) => `${origin}/api`
  },
  {
    title: 'strips its own prefix',
    prefix: '/tools/connector',
    stripsPrefix: true,
    publicUrl: (origin) => `${origin}/tools/connector`
  }
]

const insecureAgent = new Agent({ connect: { rejectUnauthorized: false } })
t.teardown(() => insecureAgent.close())

for (const proxy of PROXY_SETUPS) {
  t.test(
    `Behind an https proxy that ${proxy.title}, a browser connects both products`,
    async (t) => {
      const target = { port: 0 }
      const origin = await startHttpsProxy(t, proxy, target)
      const { app } = await buildTestApp(t, { PUBLIC_URL: proxy.publicUrl(origin), PORT: '0' })
      await app.listen({ host: '127.0.0.1', port: 0 })
      target.port = (app.server.address() as AddressInfo).port

      for (const [product, path] of [
        ['jira', '/oauth/jira?'],
        ['confluence', '/oauth/callback?provider=confluence&']
      ] as const) {
        const visitor = new HttpBrowser(insecureAgent)
        const landed = await visitor.connect(origin + proxy.prefix, product, '&state=s')
        t.equal(
          landed.url,
          `${origin}${proxy.prefix}${path}status=success&user_id=1&state=s&connection_state=active`
        )
        t.equal(landed.status, 200)
        t.ok(
          landed.hops.every((hop) => hop.startsWith(`${origin}${proxy.prefix}/`)),
          'the browser never leaves the proxy'
        )
        t.match([...(visitor.jar.get('localhost')?.keys() ?? [])], [/^__Host-flow-/])
      }

      const connect = await app.inject({
        method: 'POST',
        url: proxy.stripsPrefix ? '/integrations/jira/connect' : '/api/integrations/jira/connect'
      })
      t.equal(
        connect.json().redirect_url,
        proxy.stripsPrefix ? '/auth/jira/login' : '/api/auth/jira/login'
      )
    }
  )
}

for (const proxy of PROXY_SETUPS) {
  t.test(
    `Behind a proxy that ${proxy.title}, a client that resolves Link and Location finds every page and run`,
    async (t) => {
      const target = { port: 0 }
      const origin = await startHttpsProxy(t, proxy, target)
      const base = origin + proxy.prefix
      const { app } = await buildTestApp(t, { PUBLIC_URL: proxy.publicUrl(origin), PORT: '0' })
      await app.listen({ host: '127.0.0.1', port: 0 })
      target.port = (app.server.address() as AddressInfo).port
      await new HttpBrowser(insecureAgent).connect(base, 'jira')
      await waitForRun(app, 'jira')
      await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })

      const sync = `${base}/integrations/jira/sync`
      const started = await fetch(sync, { method: 'POST', dispatcher: insecureAgent })
      t.equal(started.status, 202)
      const { id } = (await started.json()) as { id: number }
      const run = await fetch(new URL(started.headers.get('location') ?? '', sync), {
        dispatcher: insecureAgent
      })
      t.equal(((await run.json()) as { id: number }).id, id)
      await waitForRun(app, 'jira', id)

      for (const path of [
        '/users?limit=1',
        '/jira/projects/1?limit=2&q=e',
        '/jira/issues/1/?limit=20',
        '/integrations/jira/projects/fetch?limit=2&owner_id=1',
        '/integrations/jira/sync/runs?limit=1',
        '/audit?limit=1'
      ]) {
        const ids: number[] = []
        let url: string | undefined = base + path
        while (url !== undefined) {
          const response = await fetch(url, { dispatcher: insecureAgent })
          t.equal(response.status, 200, url)
          const body = (await response.json()) as any
          ids.push(...(body.items ?? body).map(({ id }: { id: number }) => id))
          const next = /^<([^>]+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1]
          url = next === undefined ? undefined : new URL(next, url).href
        }
        const all = (await app.inject(path.replace(/limit=\d+/, 'limit=1000'))).json()
        t.same(
          ids,
          (all.items ?? all).map(({ id }: { id: number }) => id),
          path
        )
        t.ok(ids.length > 1, `${ids.length} rows in pages`)
      }
    }
  )
}

t.test(
  'C11 The login cookie is __Host-, Secure, HttpOnly and SameSite=Lax when browsers use https',
  async (t) => {
    const { app } = await buildTestApp(t, { PUBLIC_URL: 'https://connector.example' })
    const { headers } = await app.inject('/auth/jira/login?redirect=true')
    t.match(
      headers['set-cookie'],
      /^__Host-flow-[\w-]{12}=[\w-]{43}; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/
    )
  }
)

/** An https proxy that discards forwarding headers and adds its own. */
async function startHttpsProxy(
  t: TestContext,
  { prefix, stripsPrefix }: ProxySetup,
  target: { port: number }
): Promise<string> {
  const pem = await generate([{ name: 'commonName', value: 'localhost' }])
  const server: Server = createServer(
    { key: pem.private, cert: pem.cert },
    (incoming, outgoing) => {
      const path = incoming.url ?? '/'
      if (!path.startsWith(`${prefix}/`)) {
        return outgoing.writeHead(404).end('The proxy serves another site here.')
      }
      const headers = {
        ...incoming.headers,
        host: `127.0.0.1:${target.port}`,
        'x-forwarded-proto': 'https',
        'x-forwarded-host': incoming.headers.host
      }
      const call = forward(
        {
          port: target.port,
          method: incoming.method,
          path: stripsPrefix ? path.slice(prefix.length) : path,
          headers
        },
        (answer) => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(outgoing)
        }
      )
      incoming.pipe(call)
    }
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `https://localhost:${(server.address() as AddressInfo).port}`
}
