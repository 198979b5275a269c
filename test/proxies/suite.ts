import t from 'tap'
import { exchangeBytes, EXCHANGE_TIMEOUT_MS, SLOW_CLIENTS } from '../fuzz/exchange.ts'
import { VAULT_KEY } from '../helper.ts'
import { findFreePort } from '../network.ts'
import { startServiceProcess } from '../process/child.ts'
import { HttpBrowser } from '../process/browser-visit.ts'
import { RAW_STREAMS } from '../fixtures/streams.ts'
import { startProxy, type ProxyName } from './helper.ts'

/**
 * Streams that the proxy itself parses as two requests, because it accepts a bare LF as a line
 * end, a folded line, or a length beside a transfer coding. It forwards two requests with its own
 * framing: nothing is hidden from it, and only the sender gets the second response.
 */
const SPLIT_BY_PROXY: Record<ProxyName, readonly string[]> = {
  nginx: ['a chunk that ends in a bare LF', 'a chunk extension with a line break'],
  haproxy: [
    'a chunk that ends in a bare LF',
    'a chunk extension with a line break',
    'TE.TE: folded'
  ],
  caddy: [
    'TE.TE: a line of its own behind a bare LF',
    'CL.TE',
    'TE.TE: a tab',
    'TE.TE: folded',
    'a chunk extension with a line break'
  ]
}

/** What the parser says of a text behind a response without a length, as Caddy's own refusals have. */
const NOT_HTTP = -1

/** The service closes a connection with so many requests ahead; a proxy sends them one by one. */
const QUEUED_BY_PROXY = 'a hundred requests'

/** The tests that run behind each proxy. */
export function defineProxySuite(proxy: ProxyName): void {
  // Most of the time of these tests is waiting.
  t.jobs = 3
  t.test(
    `C9 T15 ${RAW_STREAMS.length} raw streams through ${proxy} smuggle nothing and reach no other client`,
    { buffered: true },
    async (t) => {
      const service = await startServiceProcess(t, {
        env: { APP_ENV: 'test', VAULT_KEYS: VAULT_KEY, LOG_LEVEL: 'DEBUG' }
      })
      const { url, port } = await startProxy(t, proxy, [service.url, service.url])
      const [problems, strangers]: [string[], string[]] = [[], []]
      const state = { isOver: false, requestCount: 0 }
      // Other clients that share the proxy's connections to the service.
      const others = Array.from({ length: 8 }, async (_, i) => {
        for (let n = 0; !state.isOver; n++) {
          const id = `honest-${i}-${n}`
          const answer = await fetch(`${url}/nothing/${id}`, { headers: { 'x-request-id': id } })
          const body = await answer.text()
          state.requestCount++
          if (
            answer.status !== 404 ||
            answer.headers.get('x-request-id') !== id ||
            !body.includes(id)
          ) {
            strangers.push(`${id}: ${answer.status} ${body.slice(0, 200)}`)
          }
        }
      })
      await Promise.all(
        RAW_STREAMS.map(async ([name, bytes, expected]) => {
          const { statuses, text, tookMs, hasEnded } = await exchangeBytes(port, (socket) => {
            socket.write(bytes)
          })
          if (!hasEnded) problems.push(`${name}: open after ${Math.round(tookMs)} ms`)
          const requests =
            (name === QUEUED_BY_PROXY ? 100 : expected.filter(([first]) => first !== 100).length) +
            (SPLIT_BY_PROXY[proxy].includes(name) ? 1 : 0)
          if (
            statuses.filter((status) => status !== 100 && status !== NOT_HTTP).length > requests
          ) {
            problems.push(`${name}: ${JSON.stringify(statuses)} for ${JSON.stringify(expected)}`)
          }
          if (/planted/.test(text)) problems.push(`${name}: a response echoes the request`)
          if (statuses.some((status) => status === 500)) {
            problems.push(`${name}: ${JSON.stringify(statuses)}`)
          }
        })
      )
      state.isOver = true
      await Promise.all(others)
      t.same(problems, [], 'no stream has more answers than requests')
      t.same(strangers, [], `each of ${state.requestCount} other requests got its own response`)
      const smuggledLines = service
        .output()
        .split('\n')
        .filter((line) => line.includes('"path":"/smuggled"') && line.includes('"status_code":404'))
      t.equal(smuggledLines.length, SPLIT_BY_PROXY[proxy].length, 'no hidden request was served')
      t.equal((await fetch(`${url}/healthz`)).status, 200, 'the service still responds')
    }
  )

  t.test(
    `C9 Closes slow connections through ${proxy} within a minute`,
    { buffered: true },
    async (t) => {
      const service = await startServiceProcess(t, {
        env: { APP_ENV: 'test', VAULT_KEYS: VAULT_KEY, LOG_LEVEL: 'INFO' }
      })
      const { port } = await startProxy(t, proxy, [service.url, service.url])
      const ends = await Promise.all(
        Object.entries(SLOW_CLIENTS).map(async ([name, send]) => ({
          name,
          ...(await exchangeBytes(port, send, EXCHANGE_TIMEOUT_MS + 3_000))
        }))
      )
      for (const { name, tookMs, statuses } of ends) {
        t.comment(`${name}: ${statuses.join()} after ${(tookMs / 1000).toFixed(1)} s`)
      }
      t.same(
        ends.filter(({ hasEnded }) => !hasEnded).map(({ name }) => name),
        [],
        'no connection is open after a minute'
      )
      t.same(await (await fetch(`${service.url}/users`)).json(), [], 'and does nothing')
    }
  )

  t.test(
    `Connects a person through ${proxy}, and identifies callers by the address that the proxy saw`,
    { buffered: true },
    async (t) => {
      const port = await findFreePort()
      const service = await startServiceProcess(t, {
        env: {
          VAULT_KEYS: VAULT_KEY,
          TRUST_PROXY: '127.0.0.1',
          PUBLIC_URL: `http://127.0.0.1:${port}`
        }
      })
      const { url } = await startProxy(t, proxy, [service.url, service.url], { port })
      await fetch(`${service.url}/sandbox/admin/faults`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          kind: 'delay',
          match: { path: '/rest/' },
          times: 2,
          delay_ms: 3_000
        })
      })
      const { url: landed } = await new HttpBrowser().connect(url, 'jira')
      t.match(landed, new RegExp(`^${url}/.*status=success`))
      const { body } = await fetch(`${url}/integrations/jira/sync/runs/1/events`)
      const chunks: string[] = []
      for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
        chunks.push(chunk)
      }
      t.match(chunks[0], /event: progress/)
      t.notMatch(chunks[0], /event: end/, 'an event arrives while the run goes on')
      t.match(chunks.at(-1), /event: end/)
      await fetch(`${url}/users`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.7' },
        body: '{"email":"ada@example.com"}'
      })
      const rows = (await (await fetch(`${service.url}/audit`)).json()) as Array<{
        ip: string | null
      }>
      t.same([...new Set(rows.flatMap(({ ip }) => ip ?? []))], ['127.0.0.1'])
    }
  )
}
