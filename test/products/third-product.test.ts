import { join } from 'node:path'
import {
  generateDrizzleJson,
  generateMigration,
  generateSQLiteDrizzleJson,
  generateSQLiteMigration
} from 'drizzle-kit/api'
import t from 'tap'
import { columns as postgresColumns } from '../../drizzle/postgres/columns.ts'
import { columns as sqliteColumns } from '../../drizzle/sqlite/columns.ts'
import { defineTables } from '../../drizzle/tables.ts'
import { builtInProviders, itemTableShapes } from '../../src/providers/index.ts'
import { defaultProducts } from '../../src/sandbox/products.ts'
import { openEngine } from '../../src/store/open-engine.ts'
import { ensureDatabase, isPostgres, queryDatabase } from '../database.ts'
import {
  Browser,
  buildSandboxEnv,
  buildTestApp,
  CLIENT_SECRET,
  OAUTH_CLIENTS,
  SERVICE_URL,
  waitForRun
} from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { startSandbox } from '../sandbox/helper.ts'
import type { TestContext } from '../types.ts'
import { compass, compassSandbox } from './compass.ts'

const shapesWithCompass = [...itemTableShapes, ...compass.collections.map(({ table }) => table)]

/** The statements that `npm run db:generate` would write for a new descriptor. */
async function generateStatements(): Promise<string[]> {
  const list = (kit: typeof sqliteColumns, shapes: typeof itemTableShapes) =>
    Object.fromEntries(defineTables(kit, shapes).all.entries())
  if (isPostgres) {
    const kit = postgresColumns as unknown as typeof sqliteColumns
    return await generateMigration(
      generateDrizzleJson(list(kit, itemTableShapes)),
      generateDrizzleJson(list(kit, shapesWithCompass))
    )
  }
  return await generateSQLiteMigration(
    await generateSQLiteDrizzleJson(list(sqliteColumns, itemTableShapes)),
    await generateSQLiteDrizzleJson(list(sqliteColumns, shapesWithCompass))
  )
}

/** The service, with the product in its registry, in its sandbox and in its database. */
async function startServiceWithCompass(t: TestContext) {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'compass.db'))
  const engine = await openEngine(url)
  await engine.close()
  for (const statement of await generateStatements()) await queryDatabase(url, statement)
  const sandbox = await startSandbox(t, {
    products: [...defaultProducts, compassSandbox],
    sizes: { projects: 1, issues: 1, spaces: 1, pages: 1 },
    clients: [
      ...OAUTH_CLIENTS,
      {
        id: 'compass-app',
        secret: CLIENT_SECRET,
        name: 'compass connector',
        access: 'resource',
        scopes: compass.scopes,
        redirectUris: (uri) => uri.startsWith('http')
      }
    ]
  })
  return await buildTestApp(
    t,
    {
      ...buildSandboxEnv(sandbox.url),
      COMPASS_OAUTH_CLIENT_ID: 'compass-app',
      COMPASS_OAUTH_CLIENT_SECRET: CLIENT_SECRET,
      COMPASS_OAUTH_REDIRECT_URI: `${SERVICE_URL}/auth/compass/callback`,
      INTEGRATION_DB_URL: url
    },
    undefined,
    { providers: [...builtInProviders, compass] }
  )
}

t.test(
  'A product that one file describes is connected, copied, listed and documented',
  async (t) => {
    const { app } = await startServiceWithCompass(t)
    const browser = new Browser(app)
    const login = await browser.connect('compass')
    t.equal(login.statusCode, 302, login.body)
    t.match(new URL(login.headers.location ?? '').pathname, '/oauth/compass')
    t.match(await waitForRun(app, 'compass'), { state: 'succeeded', counts: { added: 5 } })

    const components = (await app.inject('/compass/components/1')).json() as Array<
      Record<string, unknown>
    >
    t.strictSame(
      components.map(({ name }) => name),
      ['Billing', 'Checkout', 'Ledger', 'Payouts', 'Search'],
      'in the order of the sort column'
    )
    t.match(components[1], {
      owner_id: 1,
      team: 'blue',
      tier: 2,
      released_at: '2026-02-01T00:00:00.000Z'
    })
    t.equal((await app.inject('/compass/components/1?team=red')).json().length, 3, 'the filter')
    t.equal((await app.inject('/compass/components/1?q=pay')).json().length, 1, 'the search')

    const document = (await app.inject('/openapi.json')).json()
    t.match(document.paths['/compass/components/{owner_id}'].get, {
      operationId: 'listCompassComponents'
    })
    t.ok(document.paths['/auth/compass/login'], 'its login is documented')

    const { changes } = (await app.inject('/users/1/changes?collections=components')).json()
    t.strictSame(
      (changes as Array<{ item: { name: string } }>).map(({ item }) => item.name).sort(),
      components.map(({ name }) => name),
      'the change feed has its items'
    )

    const refused = await app.inject({
      method: 'PATCH',
      url: '/users/1/connections/compass',
      payload: { page_bodies: true }
    })
    t.equal(refused.statusCode, 422, 'it has no option page_bodies')

    await browser.connect('jira')
    t.match(await waitForRun(app, 'jira', 2), { state: 'succeeded' }, 'the others work beside it')
  }
)
