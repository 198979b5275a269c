import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Agent, fetch } from 'undici'
import { pickByScale } from '../auth/helper.ts'
import { VAULT_KEY, waitFor } from '../helper.ts'
import { findFreePort } from '../network.ts'
import { startPostgresServer } from '../postgres/server.ts'
import { startServiceProcess } from '../process/child.ts'
import type { TestContext } from '../types.ts'
import { startProxy, type ProxyName } from './helper.ts'

const CLIENT_COUNT = pickByScale(8, 40)
const POLL_COUNT = 4
/** How long an instance is left alone after it is ready again, as the document says. */
const SETTLE_MS = 3_000

interface Load {
  /** Answers by kind of request. */
  counts: Record<string, number>
  failures: string[]
  stop: () => Promise<void>
}

/** The rolling restart of docs/operations/rolling-restart.md behind a proxy, under load. */
export function defineRollingRestart(proxy: ProxyName): void {
  t.test(
    `Two instances behind ${proxy} restart one after the other, and no request fails`,
    async (t) => {
      const server = await startPostgresServer()
      t.teardown(() => server.remove())
      const env = {
        APP_ENV: 'production',
        HOST: '127.0.0.1',
        VAULT_KEYS: VAULT_KEY,
        INTEGRATION_DB_URL: await server.createDatabase(),
        TRUST_PROXY: '127.0.0.1',
        SHUTDOWN_DELAY: '3'
      }
      const ports = [await findFreePort(), await findFreePort()]
      const start = async (port: number) =>
        await startServiceProcess(t, { env: { ...env, PORT: String(port) } })
      const services = await Promise.all(ports.map(start))
      const [one, two] = services.map(({ url }) => url) as [string, string]
      const { url, strippingUrl } = await startProxy(t, proxy, [one, two], {
        hasTls: true
      })
      await sleep(1_000)
      const load = await startLoad(t, url, strippingUrl)
      await sleep(2_000)
      for (const [i, port] of ports.entries()) {
        t.equal(await services[i]?.stop('SIGTERM'), 0, `instance ${i + 1} ends with 0`)
        const { url: restarted } = await start(port)
        await waitFor(async () => (await fetch(`${restarted}/readyz`)).status === 200, 60_000)
        await sleep(SETTLE_MS)
      }
      await load.stop()
      t.same(load.failures, [], 'no request failed')
      t.comment(JSON.stringify(load.counts))
      for (const kind of ['get', 'post', 'poll']) t.ok((load.counts[kind] ?? 0) > 8, kind)
    }
  )
}

/** Sends requests over kept-alive connections, through both addresses, until it is stopped. */
async function startLoad(t: TestContext, url: string, strippingUrl: string): Promise<Load> {
  const agent = new Agent({
    connect: { rejectUnauthorized: false },
    connections: CLIENT_COUNT + POLL_COUNT,
    headersTimeout: 90_000
  })
  t.teardown(() => agent.destroy())
  const counts: Record<string, number> = {}
  const failures: string[] = []
  const state = { isOver: false }
  const request = async (kind: string, expected: number, target: string, body?: object) => {
    try {
      const response = await fetch(target, {
        dispatcher: agent,
        ...(body === undefined
          ? {}
          : {
              method: 'POST',
              body: JSON.stringify(body),
              headers: { 'content-type': 'application/json' }
            })
      })
      const text = await response.text()
      if (response.status !== expected) failures.push(`${kind}: ${response.status} ${text}`)
      counts[kind] = (counts[kind] ?? 0) + 1
      return { text, link: response.headers.get('link') }
    } catch (error) {
      failures.push(`${kind}: ${String((error as Error).cause ?? error)}`)
      return { text: '', link: null }
    }
  }
  await request('first', 201, `${url}/users`, { email: 'first@example.com' })
  const clients = Array.from({ length: CLIENT_COUNT }, async (_, client) => {
    const base = [url, `${url}/api`, `${strippingUrl}/api`][client % 3] ?? url
    for (let n = 0; !state.isOver; n++) {
      // 201 says that the user is new: a request that was executed twice would get 200.
      if (n % 8 === 7) await request('post', 201, `${base}/users`, { email: `${client}.${n}@b.co` })
      else {
        const page = `${base}/users?limit=1`
        const { link } = await request('get', 200, page)
        const next = /^<([^>]+)>/.exec(link ?? '')?.[1]
        if (next !== undefined) await request('get', 200, new URL(next, page).href)
      }
      await sleep(20)
    }
  })
  const polls = Array.from({ length: POLL_COUNT }, async () => {
    const changes = `${url}/users/1/changes`
    let since = ''
    while (!state.isOver) {
      const { text } = await request('poll', 200, `${changes}?wait=${since === '' ? 0 : 4}${since}`)
      if (text.startsWith('{')) since = `&since=${(JSON.parse(text) as { next: string }).next}`
    }
  })
  return {
    counts,
    failures,
    async stop() {
      state.isOver = true
      await Promise.all([...clients, ...polls])
    }
  }
}
