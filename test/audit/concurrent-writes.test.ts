import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { ensureDatabase, isPostgres } from '../database.ts'
import { Browser, buildTestApp, buildSandboxEnv, OAUTH_CLIENTS } from '../helper.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { SMALL_SANDBOX } from '../auth/helper.ts'
import { readAuditTrail, runAuditVerify } from './helper.ts'

const INSTANCE_COUNT = isPostgres ? 4 : 1

/** Service instances on one database. */
async function startInstances(
  t: Test,
  env: NodeJS.ProcessEnv = {}
): Promise<{ url: string; apps: FastifyInstance[]; getInstance: (i: number) => FastifyInstance }> {
  const url = await ensureDatabase(t, join(t.testdir(), 'c.db'))
  const apps: FastifyInstance[] = []
  for (let i = 0; i < INSTANCE_COUNT; i++) {
    apps.push((await buildTestApp(t, { INTEGRATION_DB_URL: url, ...env })).app)
  }
  return { url, apps, getInstance: (i) => apps[i % INSTANCE_COUNT] as FastifyInstance }
}

t.test(
  `B12 Two hundred users created at once, over ${INSTANCE_COUNT} instance(s), have one row each`,
  async (t) => {
    const {
      url,
      apps: [app],
      getInstance
    } = await startInstances(t)
    const answers = await Promise.all(
      Array.from(
        { length: 200 },
        async (_, i) =>
          await getInstance(i).inject({
            method: 'POST',
            url: '/users',
            payload: { email: `u${i}@example.com` },
            headers: { 'x-request-id': `r-${i}` }
          })
      )
    )
    t.same(
      answers.filter(({ statusCode }) => statusCode !== 201).map(({ body }) => body),
      []
    )
    const rows = await readAuditTrail(app as FastifyInstance)
    t.same(
      rows.map(({ id }) => id),
      Array.from({ length: 200 }, (_, i) => i + 1),
      'without gaps'
    )
    t.same(new Set(rows.map(({ request_id: id }) => id)).size, 200)
    t.match(await runAuditVerify(url), { code: 0, stdout: /^200 rows are unchanged/ })
  }
)

t.test(
  'B12 Concurrent changes of connections, users and keys: none is refused, and each has one row',
  async (t) => {
    const sandbox = await startSandbox(t, { clients: OAUTH_CLIENTS, ...SMALL_SANDBOX })
    const {
      url,
      apps: [app],
      getInstance
    } = await startInstances(t, { ...buildSandboxEnv(sandbox.url), SYNC_INTERVAL: '0' })
    const make = async (i: number) =>
      (
        await getInstance(i).inject({
          method: 'POST',
          url: '/users',
          payload: { email: `m${i}@example.com` }
        })
      ).statusCode
    const key = async (i: number) =>
      (await getInstance(i).store.apiKeys.create({
        name: `k${i}`,
        hash: `h${i}`,
        prefix: 'sk',
        scopes: ['admin'],
        expiresAt: null
      })) === undefined
        ? 409
        : 201
    const connect = async (i: number, user: number, product: string) => {
      const answer = await new Browser(getInstance(i)).connect(product, `&state=user_id%3D${user}`)
      return /status=success/.test(String(answer.headers.location))
        ? 201
        : `${answer.statusCode} ${String(answer.headers.location)}`
    }
    const leave = async (i: number, user: number, product: string) =>
      (
        await getInstance(i).inject({
          method: 'DELETE',
          url: `/users/${user}/connections/${product}`
        })
      ).statusCode
    for (let i = 1; i <= 4; i++) await make(i)
    const completed = new Set<unknown>(
      await Promise.all([
        ...[1, 2, 3, 4].map(async (i) => await connect(i, i, 'jira')),
        ...Array.from({ length: 30 }, async (_, i) => await make(100 + i)),
        ...Array.from({ length: 30 }, async (_, i) => await key(i))
      ])
    )
    t.same([...completed], [201])
    const second = await Promise.all([
      ...[1, 2].map(async (i) => await leave(i, i, 'jira')),
      ...[3, 4].map(async (i) => await connect(i, i, 'confluence')),
      ...Array.from({ length: 30 }, async (_, i) => await make(200 + i))
    ])
    t.same(
      second.filter((status) => ![200, 201, 204].includes(status as number)),
      []
    )
    const counts = new Map<string, number>()
    for (const { action } of await readAuditTrail(app as FastifyInstance)) {
      counts.set(action, (counts.get(action) ?? 0) + 1)
    }
    t.match(Object.fromEntries(counts), {
      user_created: 64,
      key_created: 30,
      connection_created: 6,
      disconnected: 2
    })
    t.match(await runAuditVerify(url), { code: 0 })
  }
)
