import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { buildTestApp } from '../helper.ts'

const read = (name: string) =>
  readFileSync(new URL(`../../docs/proxies/${name}`, import.meta.url), 'utf8')
const INSTANCES = ['10.0.0.11:3001', '10.0.0.12:3001']

/** What each example says, as its program reads it. */
const EXAMPLES: Record<string, { text: string; timeout: RegExp; idle?: RegExp; health?: RegExp }> =
  {
    nginx: {
      text: read('nginx.conf'),
      timeout: /proxy_read_timeout (\d+)s/,
      idle: /^ {4}keepalive_timeout (\d+)s/m
    },
    haproxy: {
      text: read('haproxy.cfg'),
      timeout: /timeout server (\d+)s/,
      health: /httpchk GET (\S+)[^]* inter (\d+)ms fall (\d+)/
    },
    caddy: {
      text: read('Caddyfile'),
      timeout: /response_header_timeout (\d+)s/,
      idle: /keepalive (\d+)s/,
      health: /health_uri (\S+)\s+health_interval (\d+)ms/
    },
    traefik: {
      text: read('connector-traefik.yaml'),
      timeout: /responseHeaderTimeout: (\d+)s/,
      idle: /idleConnTimeout: (\d+)s/,
      health: /path: (\S+)\s+interval: (\d+)ms/
    }
  }
/** The default of SHUTDOWN_DELAY. */
const SHUTDOWN_DELAY_MS = 3_000
const CHANGES_PATH = '/users/{user_id}/changes'

t.test(
  'Every proxy example has both instances, and waits longer than the longest poll',
  async (t) => {
    const { app } = await buildTestApp(t)
    await app.ready()
    const { paths } = app.swagger() as {
      paths: Record<string, { get: { parameters: Array<{ name: string; schema: any }> } }>
    }
    const longestPollS = Number(
      paths[CHANGES_PATH]?.get.parameters.find(({ name }) => name === 'wait')?.schema.maximum
    )
    t.ok(longestPollS > 0, `the longest poll takes ${longestPollS} s`)
    const keepAliveS = app.server.keepAliveTimeout / 1000
    for (const [name, { text, timeout, idle, health }] of Object.entries(EXAMPLES)) {
      t.same(text.match(/\b(?:\d+\.){3}\d+:\d+\b/g), INSTANCES, `${name} has the two instances`)
      t.ok(Number(timeout.exec(text)?.[1]) > longestPollS, `${name} waits for the longest poll`)
      if (idle !== undefined) {
        t.ok(
          Number(idle.exec(text)?.[1]) < keepAliveS,
          `${name} closes idle connections before the connector does`
        )
      }
      if (health === undefined) continue
      const [, path, intervalMs, failures = '1'] = health.exec(text) ?? []
      t.equal(path, '/readyz', `${name} asks for readiness`)
      t.ok(
        Number(failures) * Number(intervalMs) < SHUTDOWN_DELAY_MS,
        `${name} notices a stopping instance while it still answers`
      )
    }
  }
)

t.test('The example of Traefik refers to what it defines', (t) => {
  const { entryPoints, providers } = parse(read('traefik.yaml'))
  const { http, tls } = parse(read('connector-traefik.yaml'))
  t.match(providers.file.filename, /\/connector-traefik\.yaml$/)
  t.same(
    Object.values<any>(entryPoints).map(({ address }) => address),
    [':443', ':8443'],
    'the ports of the other examples'
  )
  t.same(
    Object.values<any>(http.routers).flatMap((router) => router.entryPoints),
    Object.keys(entryPoints),
    'one router for each entry point'
  )
  for (const [name, { rule, service, middlewares = [] }] of Object.entries<any>(http.routers)) {
    t.match(rule, /^PathPrefix\(`[^`]+`\)$/)
    t.ok(service in http.services, `${name}: ${service}`)
    for (const middleware of middlewares) t.ok(middleware in http.middlewares, middleware)
  }
  t.same(http.middlewares['strip-api'], { stripPrefix: { prefixes: ['/api'] } })
  const { loadBalancer } = http.services.connector
  t.same(
    loadBalancer.servers,
    INSTANCES.map((instance) => ({ url: `http://${instance}` }))
  )
  t.ok(loadBalancer.serversTransport in http.serversTransports)
  const { interval, timeout } = loadBalancer.healthCheck
  t.ok(parseInt(interval) > parseInt(timeout), 'Traefik would make the interval longer')
  t.equal(tls.certificates.length, 1)
  t.end()
})
