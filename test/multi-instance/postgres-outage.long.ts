import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pickByScale } from '../auth/helper.ts'
import { waitFor } from '../helper.ts'
import { resolveNextPage } from '../network.ts'
import type { ServiceProcess } from '../process/child.ts'
import { connect, startDatabaseServer, getJson, createClusterFixture, postJson } from './helper.ts'

const OUTAGE_MS = pickByScale(4_000, 20_000)
/**
 * The service responds within a second while the database does not; the rest allows for a busy
 * machine.
 */
const MAX_RESPONSE_MS = 2_500
const server = await startDatabaseServer(t)

interface ResponseRecord {
  status: number
  ms: number
  at: number
  failure: string | undefined
}

/** Writes and reads in a loop, and records the acknowledged writes. */
function startLoad(url: string) {
  const acknowledged = new Map<string, string>()
  const responses: ResponseRecord[] = []
  const state = { over: false }
  const requestRepeatedly = async (send: () => Promise<string | undefined>) => {
    while (!state.over) {
      const from = performance.now()
      const status = { code: 0 }
      const failure = await send().then(
        (problem) => problem,
        (error: unknown) => `no answer: ${String((error as Error).cause ?? error)}`
      )
      responses.push({ status: status.code, ms: performance.now() - from, at: from, failure })
      await sleep(5)
    }
  }
  let counter = 0
  const write = async () => {
    const key = `K${++counter}`
    const name = `N${Math.random()}`
    const { status, headers, body } = await postJson(url, '/jira/projects', {
      owner_id: 1,
      key,
      name
    })
    if (status === 201) acknowledged.set(key, name)
    else if (
      status !== 503 ||
      headers.get('retry-after') === null ||
      !/^database_(unavailable|busy)$/.test(body.code as string)
    ) {
      return `${status} ${JSON.stringify(body)}`
    }
  }
  const read = async () => {
    const [key, name] = [...acknowledged].at(-1) ?? []
    const { status, headers, body } = await getJson(
      url,
      `/jira/projects/1?limit=1${key === undefined ? '' : `&q=${key}&project=${key}`}`
    )
    if (
      status === 200
        ? key !== undefined && body[0]?.name !== name
        : status !== 503 || headers.get('retry-after') === null
    ) {
      return `${status} ${key} ${name} ${JSON.stringify(body)}`
    }
  }
  const workers = [
    ...Array.from({ length: 6 }, async () => await requestRepeatedly(write)),
    ...Array.from({ length: 6 }, async () => await requestRepeatedly(read))
  ]
  return {
    acknowledged,
    said: responses,
    async stop() {
      state.over = true
      await Promise.all(workers)
    }
  }
}

async function isHealthy({ url }: ServiceProcess): Promise<boolean> {
  return (await getJson(url, '/healthz')).status === 200
}

/** Asserts what holds for every kind of outage. */
async function assertInterruption(
  t: Test,
  service: ServiceProcess,
  during: () => Promise<void>,
  back: () => Promise<void>
): Promise<void> {
  service.child.once('exit', (code, signal) => {
    if (signal !== 'SIGKILL') {
      t.fail(`the service ended with ${String(code)}: ${service.output().slice(-1_500)}`)
    }
  })
  await postJson(service.url, '/users', { email: `a@${Math.random()}.example` })
  const running = startLoad(service.url)
  await waitFor(() => running.acknowledged.size > 5)
  await during()
  const lostAt = performance.now()
  await sleep(1_500)
  const inBetween = performance.now()
  t.match(await getJson(service.url, '/healthz'), {
    status: 503,
    body: { checks: { database: 'failed' } }
  })
  await sleep(OUTAGE_MS)
  const before = running.acknowledged.size
  await back()
  const from = performance.now()
  await waitFor(async () => await isHealthy(service))
  const took = Math.round(performance.now() - from)
  t.ok(took < 5_000, `healthy ${took} ms after the database`)
  await waitFor(async () => running.acknowledged.size > before + 10)
  await running.stop()
  t.same(
    [...new Set(running.said.map(({ failure }) => failure).filter((wrong) => wrong !== undefined))],
    [],
    'no wrong and no missing response'
  )
  const slowest = Math.round(
    Math.max(...running.said.filter(({ at }) => at > inBetween || at > lostAt).map(({ ms }) => ms))
  )
  t.ok(slowest < MAX_RESPONSE_MS, `${running.said.length} answers, the slowest after ${slowest} ms`)
  const listed = new Map<string, string>()
  let next: string | undefined = '/jira/projects/1?limit=1000'
  while (next !== undefined) {
    const page: Awaited<ReturnType<typeof getJson>> = await getJson(service.url, next)
    for (const { key, name } of page.body as Array<{ key: string; name: string }>) {
      listed.set(key, name)
    }
    next = resolveNextPage(next, page.headers.get('link'))
  }
  t.same(
    [...running.acknowledged].filter(([key, name]) => listed.get(key) !== name),
    [],
    `all ${running.acknowledged.size} acknowledged writes are stored`
  )
  t.equal(service.child.exitCode, null)
}

t.test(
  `D7 Returns 503 while PostgreSQL is stopped for ${OUTAGE_MS} ms, loses no acknowledged write, and recovers`,
  async (t) => {
    const service = await (await createClusterFixture(t, server)).startService()
    await assertInterruption(
      t,
      service,
      async () => {
        await server.stop()
      },
      async () => {
        await server.start()
      }
    )
  }
)

t.test(`D7 Recovers from a PostgreSQL crash of ${OUTAGE_MS} ms`, async (t) => {
  const service = await (await createClusterFixture(t, server)).startService()
  await assertInterruption(
    t,
    service,
    async () => {
      await server.stop('immediate')
    },
    async () => {
      await server.start()
    }
  )
})

t.test(
  `D7 Recovers when PostgreSQL stops responding on open connections for ${OUTAGE_MS} ms`,
  async (t) => {
    const proxyServer = await createTcpProxy(t)
    const service = await (
      await createClusterFixture(t, server, {
        url: proxyServer.toProxiedUrl(await server.createDatabase())
      })
    ).startService()
    await assertInterruption(
      t,
      service,
      async () => {
        proxyServer.silence()
      },
      async () => {
        proxyServer.speak()
      }
    )
  }
)

t.test(
  'D7 Follows a failover to another address and drops connections to the old one',
  async (t) => {
    const way = await createTcpProxy(t)
    const service = await (
      await createClusterFixture(t, server, {
        url: way.toProxiedUrl(await server.createDatabase())
      })
    ).startService()
    await assertInterruption(
      t,
      service,
      async () => {
        way.close()
      },
      async () => {
        way.open()
      }
    )
  }
)

t.test('D7 Serves the next requests after the server closes all connections', async (t) => {
  const { url, query, ...fixture } = await createClusterFixture(t, server)
  const service = await fixture.startService()
  await postJson(service.url, '/users', { email: 'a@example.com' })
  await Promise.all(Array.from({ length: 20 }, async () => await getJson(service.url, '/users/1')))
  await server.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where application_name = ' +
      "'jira-confluence-connector' and datname = $1",
    [url.split('/').at(-1)]
  )
  const answers = await Promise.all(
    Array.from({ length: 20 }, async () => await getJson(service.url, '/users/1'))
  )
  t.ok(answers.every(({ status }) => [200, 503].includes(status)))
  t.match(
    await waitFor(async () => {
      const answer = await getJson(service.url, '/users/1')
      return answer.status === 200 && answer
    }, 5_000),
    { status: 200 }
  )
})

t.test(
  'D7 Reports an exhausted pool within the timeout, and serves all requests afterwards',
  async (t) => {
    const fixture = await createClusterFixture(t, server)
    const service = await fixture.startService({ DB_POOL_SIZE: '2' })
    await postJson(service.url, '/users', { email: 'a@example.com' })
    const locking = fixture.query('begin; lock table users; select pg_sleep(5); commit')
    await sleep(200)
    const from = performance.now()
    const answers = await Promise.all(
      Array.from({ length: 10 }, async () => await getJson(service.url, '/users/1'))
    )
    t.ok(performance.now() - from < 10_000)
    for (const { status, body, headers } of answers) {
      if (status !== 200) {
        t.match(
          { status, body, retry: headers.get('retry-after') },
          { status: 503, body: { code: 'database_busy' }, retry: '1' }
        )
      }
    }
    await locking
    t.equal((await getJson(service.url, '/users/1')).status, 200)
  }
)

t.test('A run waits during a database outage and then completes', async (t) => {
  const fixture = await createClusterFixture(t, server, {
    sandbox: { sizes: { projects: 1, issues: 1, spaces: 5, pages: 6_000 } }
  })
  await connect(t, fixture, 'confluence', async () => {})
  await fixture.query('delete from pages; delete from checkpoints; delete from runs')
  const service = await fixture.startService()
  await fixture.sandbox.admin('faults', {
    kind: 'delay',
    match: { path: '/wiki/api/v2/pages' },
    times: 10,
    delay_ms: 200
  })
  const { body: run } = await postJson(
    service.url,
    '/integrations/confluence/sync?owner_id=1&mode=full'
  )
  await waitFor(
    async () => (await fixture.query('select seen from runs where id = $1', [run.id]))[0].seen > 500
  )
  await server.stop()
  await sleep(3_000)
  await server.start()
  const ended = await waitFor(async () => {
    const { body } = await getJson(
      service.url,
      `/integrations/confluence/sync/runs/${run.id as number}`
    )
    return ['succeeded', 'failed', 'partial'].includes(body.state as string) && body
  })
  t.match(ended, { state: 'succeeded' })
  t.same(await fixture.query('select count(*)::int as count from pages where deleted_at is null'), [
    { count: 6_000 }
  ])
  t.match(service.output(), /"event":"sync_database_unavailable"/)
})

/** TCP proxy to the server that can close, forward elsewhere, or stop forwarding. */
async function createTcpProxy(t: Test) {
  const sockets = new Set<Socket>()
  let silent = false
  const way = createServer((near) => {
    const far = createConnection({ host: '127.0.0.1', port: server.port })
    for (const [from, to] of [
      [near, far],
      [far, near]
    ] as const) {
      sockets.add(from)
      from.on('data', (chunk) => {
        if (!silent) to.write(chunk)
      })
      from.on('error', () => {})
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  const listen = async (port: number) =>
    await new Promise<void>((resolve) => {
      way.listen(port, '127.0.0.1', resolve)
    })
  await listen(0)
  const { port } = way.address() as AddressInfo
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    cut()
    way.close()
  })
  return {
    toProxiedUrl: (url: string) => url.replace(String(server.port), String(port)),
    silence: () => {
      silent = true
    },
    /** Data sent in between is lost, as with a machine that is gone. */
    speak: () => {
      cut()
      silent = false
    },
    close: () => {
      way.close()
      cut()
    },
    open: () => {
      listen(port).catch(() => {})
    }
  }
}
