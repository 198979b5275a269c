import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { openEngine } from '../../src/store/open-engine.ts'
import { createStore } from '../../src/store/index.ts'
import { VAULT_KEY } from '../helper.ts'
import { queryPostgres, startPostgresServer } from '../postgres/server.ts'
import { createTempFolder } from '../process/child.ts'
import { TEST_SIGNER } from '../signatures.ts'
import { defineStoreContract } from './contract.ts'

const server = await startPostgresServer()
t.teardown(() => server.remove())

t.test('PostgreSQL', (t) => {
  defineStoreContract(
    t,
    async () => await openEngine(await server.createDatabase(), { poolSize: 10 })
  )
  t.end()
})

const getStartProblems = async (url: string, env: NodeJS.ProcessEnv = {}) => {
  try {
    await (
      await buildApp({
        env: { APP_ENV: 'test', VAULT_KEYS: VAULT_KEY, INTEGRATION_DB_URL: url, ...env }
      })
    ).close()
  } catch (error) {
    return (error as { problems?: string[] }).problems?.join('\n')
  }
}

t.test(
  'D2 Refuses a server that may lose acknowledged writes, unless the setting allows it',
  async (t) => {
    for (const setting of ['fsync=off', 'synchronous_commit=off']) {
      const careless = await startPostgresServer([setting])
      t.teardown(() => careless.remove())
      t.match(
        await getStartProblems(careless.url('postgres')),
        /fsync or synchronous_commit off.*DB_REQUIRE_DURABLE=false/
      )
      t.equal(
        await getStartProblems(careless.url('postgres'), { DB_REQUIRE_DURABLE: 'false' }),
        undefined
      )
    }
  }
)

t.test(
  'Refuses an unusable server with an error that names the setting and no password',
  async (t) => {
    const wrong = {
      'no listener': 'postgres://u:pl4nted-value@127.0.0.1:1/db',
      'no such database': server.url('nowhere').replace('postgres@', 'postgres:pl4nted-value@'),
      'no such user': server.url('postgres').replace('postgres@', 'nobody:pl4nted-value@'),
      'the server has no TLS':
        server.url('postgres').replace('postgres@', 'postgres:pl4nted-value@') +
        '?sslmode=verify-full'
    }
    for (const [title, url] of Object.entries(wrong)) {
      const problems = await getStartProblems(url)
      t.match(problems, /INTEGRATION_DB_URL/, title)
      t.notMatch(problems, /pl4nted/, title)
    }
  }
)

t.test('The database URL requests TLS, and the server certificate is verified', async (t) => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }]
  })
  const place = createTempFolder(t)
  const secure = await startPostgresServer()
  t.teardown(() => secure.remove())
  await secure.stop()
  secure.write('server.crt', cert)
  secure.write('server.key', key)
  secure.settings.push('ssl=on')
  await secure.start()
  writeFileSync(join(place, 'ca.crt'), cert)
  const url = secure.url('postgres').replace('127.0.0.1', 'localhost')
  t.match(
    await getStartProblems(`${url}?sslmode=verify-full`),
    /cannot be used/,
    'unknown certificate authority'
  )
  t.equal(
    await getStartProblems(`${url}?sslmode=verify-full&sslrootcert=${join(place, 'ca.crt')}`),
    undefined
  )
  t.match(
    await getStartProblems(
      `${secure.url('postgres')}?sslmode=verify-full&sslrootcert=${join(place, 'ca.crt')}`
    ),
    /cannot be used/,
    'certificate for another name'
  )
})

t.test(
  'D13 Refuses to start on tables of a newer version, and running services continue',
  async (t) => {
    const url = await server.createDatabase()
    const engine = await openEngine(url)
    t.teardown(() => engine.close())
    await queryPostgres(
      url,
      'insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)',
      ['x', Date.now() + 1e9]
    )
    t.equal(
      await createStore(engine, Date.now, TEST_SIGNER).isMigrated(),
      true,
      'the old version stays healthy during a rolling upgrade'
    )
    t.match(await getStartProblems(url), /newer version/)
  }
)

t.test("T25 Errors contain no statements and no values, unlike Drizzle's own", async (t) => {
  const url = await server.createDatabase()
  const engine = await openEngine(url)
  t.teardown(() => engine.close())
  await queryPostgres(url, 'alter table users drop column display_name')
  const { users } = createStore(engine, Date.now, TEST_SIGNER)
  const failure = await users.list(1).then(
    () => undefined,
    (error: unknown) => error as Error
  )
  t.notMatch(`${failure?.message}${failure?.stack}`, /select "id"/i)
  const written = await users.findOrCreate('pl4nted@example.com', null).then(
    () => undefined,
    (error: unknown) => error as Error
  )
  t.ok(written)
  t.notMatch(JSON.stringify(written) + String(written?.message) + String(written?.stack), /pl4nted/)
})
