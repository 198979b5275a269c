import { join } from 'node:path'
import t from 'tap'
import { verify } from '../../src/audit/verify.ts'
import { databaseAt, rowsOf } from '../database.ts'
import { build } from '../helper.ts'

t.test('B12 T18 Each operation has one row that names its request, none happens without it, and the verifier finds a row that is not as it was', async (t) => {
  const url = await databaseAt(t, join(t.testdir(), 'audit.db'))
  const { app } = await build(t, { INTEGRATION_DB_URL: url })
  const make = async (i: number) => await app.inject({ method: 'POST', url: '/users', payload: { email: `canary${i}@example.com` }, headers: { 'x-request-id': `made-${i}` } })
  for (let i = 0; i < 10; i++) t.equal((await make(i)).statusCode, 201)
  const rows = (await app.inject('/audit')).json() as Array<Record<string, unknown>>
  t.same(rows.map(({ action, request_id: id }) => `${String(action)} ${String(id)}`), Array.from({ length: 10 }, (_, i) => `user_created made-${9 - i}`))
  t.notMatch(JSON.stringify(rows), /canary/)
  t.match(await verify(app.store.audit), { rows: 10 })

  await rowsOf(url, 'alter table audit rename to audit_away')
  for (let i = 100; i < 200; i++) t.not((await make(i)).statusCode, 201)
  await rowsOf(url, 'alter table audit_away rename to audit')
  t.equal(((await app.inject('/users')).json() as unknown[]).length, 10)

  await t.rejects(rowsOf(url, "update audit set action = 'x' where seq = 4"))
  await t.rejects(rowsOf(url, 'delete from audit where seq = 4'))
})
