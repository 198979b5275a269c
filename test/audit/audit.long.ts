import { join } from 'node:path'
import t, { type Test } from 'tap'
import { verifyAuditChain } from '../../src/store/audit-verify.ts'
import { createApiKey, PROTECTED_ENV } from '../access/helper.ts'
import { pickByScale } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { buildTestApp } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { TEST_SIGNER } from '../signatures.ts'
import { DAY_MS } from '../time.ts'
import { readAuditTrail, dropAuditTriggers, runAudit, runAuditVerify } from './helper.ts'

async function createAuditFixture(t: Test, env: NodeJS.ProcessEnv = {}, now?: () => number) {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'c.db'))
  const { app } = await buildTestApp(t, { INTEGRATION_DB_URL: url, ...env }, now)
  const createUser = async (i: number | string) =>
    await app.inject({
      method: 'POST',
      url: '/users',
      payload: { email: `canary${i}@example.com` },
      headers: { 'x-request-id': `made-${i}` }
    })
  return {
    url,
    app,
    make: createUser,
    createUsers: async (count: number) => {
      for (let i = 1; i <= count; i++) t.equal((await createUser(i)).statusCode, 201)
    }
  }
}

const CALL_COUNT = pickByScale(100, 1_000)
t.test(
  `T18 Of ${CALL_COUNT} mixed calls, exactly those that change something have one audit row each`,
  async (t) => {
    const { url, app, make } = await createAuditFixture(t)
    const expected: string[] = []
    for (let i = 0; i < CALL_COUNT; i++) {
      const id = `call-${i}`
      const headers = { 'x-request-id': id }
      if (i % 4 === 0) expected.push(`user_created made-${i}`)
      if (i % 4 === 0) await make(i)
      else if (i % 4 === 1) await app.inject({ url: '/users', headers })
      else if (i % 4 === 2) {
        await app.inject({
          method: 'POST',
          url: '/users',
          headers,
          payload: { email: i % 8 === 2 ? 'nobody' : 'canary0@example.com' }
        })
      } else {
        expected.push(`session_created ${id}`)
        await app.inject({
          method: 'POST',
          url: '/connect-sessions',
          headers,
          payload: { user: 1 }
        })
      }
    }
    t.same(
      (await readAuditTrail(app)).map(({ action, request_id: id }) => `${action} ${id}`),
      expected
    )
    t.match(await runAuditVerify(url), { code: 0, stdout: new RegExp(`^${expected.length} rows`) })
  }
)

t.test(
  'B12 T18 If the audit trail is not writable, a hundred changes are refused; they work again afterwards',
  async (t) => {
    const { url, app, make, createUsers } = await createAuditFixture(t)
    await createUsers(3)
    await queryDatabase(url, 'alter table audit rename to audit_away')
    for (let i = 100; i < 200; i++) {
      t.equal(
        (
          await (i % 2 === 0
            ? make(i)
            : app.inject({ method: 'POST', url: '/connect-sessions', payload: { user: 1 } }))
        ).statusCode,
        500
      )
    }
    await queryDatabase(url, 'alter table audit_away rename to audit')
    t.equal((await app.inject('/users')).json<unknown[]>().length, 3)
    t.same(await queryDatabase(url, 'select * from sessions'), [])
    t.equal((await make(100)).statusCode, 201)
    t.match(await runAuditVerify(url), { code: 0, stdout: /^4 rows/ })
  }
)

t.test('T18 The database refuses to update or delete an audit row', async (t) => {
  const { url, createUsers } = await createAuditFixture(t)
  await createUsers(5)
  for (const sql of [
    "update audit set action = 'x' where seq = 4",
    'delete from audit where seq = 4',
    'delete from audit',
    ...(url.startsWith('postgres') ? ['truncate audit'] : [])
  ]) {
    await t.rejects(queryDatabase(url, sql), sql)
  }
  t.match(await runAuditVerify(url), { code: 0, stdout: /^5 rows/ })
})

const TAMPERINGS: Array<[what: string, sql: string[], said: RegExp]> = [
  ['edited', ["update audit set action = 'user_removed' where seq = 4"], /Row 4 was edited/],
  ['given to somebody else', ['update audit set user_id = 9 where seq = 6'], /Row 6 was edited/],
  ['given another time', ['update audit set at = at + 1 where seq = 1'], /Row 1 was edited/],
  ['deleted', ['delete from audit where seq = 4'], /Row 4 was removed/],
  ['deleted at the beginning', ['delete from audit where seq <= 2'], /Row 1 was removed/],
  ['deleted at the end', ['delete from audit where seq >= 7'], /Row 7 was removed/],
  [
    'inserted at the end',
    ["insert into audit (seq, at, actor, action, hash) values (9, 1, 'key', 'user_created', 'x')"],
    /Row 9 was inserted/
  ],
  [
    'inserted in the middle',
    [
      'update audit set seq = seq + 100 where seq > 3',
      'update audit set seq = seq - 99 where seq > 100',
      "insert into audit (seq, at, actor, action, hash) values (4, 1, 'key', 'user_created', 'x')"
    ],
    /Row 4 was edited or inserted: it is not signed/
  ],
  [
    'changed places',
    [
      'update audit set seq = 100 where seq = 3',
      'update audit set seq = 3 where seq = 5',
      'update audit set seq = 5 where seq = 100'
    ],
    /Row 3 was edited/
  ],
  [
    'emptied, the head with it',
    ['delete from audit', 'update audit_head set cut_seq = 8'],
    /edited together with its hash/
  ]
]

for (const [what, sqls, problem] of TAMPERINGS) {
  t.test(
    `T18 Detects a row that someone with database access has ${what}, and names the first bad row`,
    async (t) => {
      const { url, app, createUsers } = await createAuditFixture(t)
      await createUsers(8)
      await dropAuditTriggers(url)
      for (const sql of sqls) await queryDatabase(url, sql)
      t.match(await verifyAuditChain(app.store.audit, TEST_SIGNER), { problem })
      if (what === 'edited') {
        t.match(
          await runAuditVerify(url),
          { code: 1, stdout: '', stderr: problem },
          'by the command'
        )
      }
    }
  )
}

t.test('Pruning old rows leaves a verifiable trail and records the pruning', async (t) => {
  let ahead = 0
  const { url, app, make, createUsers } = await createAuditFixture(t, {}, () => Date.now() + ahead)
  ahead = -10 * DAY_MS
  await createUsers(5)
  ahead = 0
  await make('new')
  t.match(await runAudit(url, 'purge', '--days', '5'), {
    code: 0,
    stdout: /^Deleted 5 rows/
  })
  t.match(
    (await readAuditTrail(app)).map(({ id, action, actor }) => [id, action, actor.kind]),
    [
      [6, 'user_created', 'anonymous'],
      [7, 'audit_purged', 'operator']
    ]
  )
  t.match(await runAuditVerify(url), { code: 0, stdout: /^2 rows/ })
  await t.rejects(queryDatabase(url, 'delete from audit where seq = 6'))
  await dropAuditTriggers(url)
  await queryDatabase(url, 'delete from audit where seq = 6')
  t.match(await runAuditVerify(url), { code: 1, stderr: /Row 6 was removed/ })
})

t.test(
  'Prunes rows older than AUDIT_RETENTION_DAYS, and the rest stays verifiable; 0 keeps everything',
  async (t) => {
    for (const [days, remainingRows] of [
      ['30', ['user_created made-new', 'audit_purged null']],
      ['0', ['user_created made-1', 'user_created made-2', 'user_created made-new']]
    ] as const) {
      let ahead = -31 * DAY_MS
      const { url, app, make, createUsers } = await createAuditFixture(
        t,
        { AUDIT_RETENTION_DAYS: days },
        () => Date.now() + ahead
      )
      await createUsers(2)
      ahead = 0
      await make('new')
      await app.maintenance.runNow()
      await app.maintenance.runNow()
      t.same(
        (await readAuditTrail(app)).map(({ action, request_id: id }) => `${action} ${id}`),
        remainingRows
      )
      t.match(await runAuditVerify(url), { code: 0 })
    }
  }
)

t.test(
  'The trail is for administrators only, is paginated, and filters by user, action and time',
  async (t) => {
    const { app } = await createAuditFixture(t, PROTECTED_ENV)
    const admin = await createApiKey(app, ['admin'])
    const other = await createApiKey(app, [
      'users:read',
      'users:write',
      'connections:read',
      'connections:write',
      'data:read'
    ])
    t.match((await app.inject({ url: '/audit', headers: other.headers })).statusCode, 403)
    t.match((await app.inject('/audit')).statusCode, 401)
    for (let i = 0; i < 7; i++) {
      await app.inject({
        method: 'POST',
        url: '/users',
        payload: { email: `p${i}@example.com` },
        headers: admin.headers
      })
    }
    const ask = async (query: string) =>
      await app.inject({ url: `/audit?${query}`, headers: admin.headers })
    const first = await ask('limit=2')
    t.same(
      first.json<Array<{ id: number }>>().map(({ id }) => id),
      [9, 8],
      'newest first'
    )
    t.match(first.headers.link, /rel="next"/)
    t.same(
      (await readAuditTrail(app, { headers: admin.headers })).map(({ id }) => id),
      [1, 2, 3, 4, 5, 6, 7, 8, 9]
    )
    t.same(
      (await ask('user_id=3')).json<Array<{ id: number }>>().map(({ id }) => id),
      [5]
    )
    t.equal((await ask('action=key_created')).json<unknown[]>().length, 2)
    t.same(
      (
        await ask(`since=${encodeURIComponent(new Date(Date.now() + DAY_MS).toISOString())}`)
      ).json(),
      []
    )
    for (const query of ['action=nothing', 'since=yesterday', 'cursor=x', 'limit=0']) {
      t.ok([400, 422].includes((await ask(query)).statusCode), query)
    }
  }
)
