import { createServer, type Server } from 'node:https'
import { request as forward } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { generate } from 'selfsigned'
import t from 'tap'
import { Agent } from 'undici'
import { buildTestApp } from '../helper.ts'
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
