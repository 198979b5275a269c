import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { service, type Product, type Service } from '../auth/helper.ts'
import { databaseAt, rowsOf } from '../database.ts'
import { Browser, synced } from '../helper.ts'
import { folder } from '../process/child.ts'
import { ACME } from '../sandbox/helper.ts'

const MINUTE_MS = 60_000
const PAGES = 20

const view = async ({ app }: Service, product: Product) =>
  (
    (await app.inject('/users/1/connections')).json().connections as Array<Record<string, any>>
  ).find((each) => each.product === product)
const patch = async ({ app }: Service, payload: object, product: Product = 'confluence') =>
  await app.inject({ method: 'PATCH', url: `/users/1/connections/${product}`, payload })
const confirm = async ({ app }: Service, product: Product = 'confluence') =>
  await app.inject({ method: 'POST', url: `/users/1/connections/${product}/confirm-deletions` })
const newest = async ({ app }: Service, product: Product) =>
  (await app.inject(`/integrations/${product}/sync/runs?limit=1`)).json()[0].id as number
const pages = async ({ app }: Service) =>
  (await app.inject('/confluence/pages/1')).json() as Array<Record<string, any>>

/** Copies, and waits until it is done. */
async function copy({ app }: Service, product: Product, mode = 'due') {
  return await synced(
    app,
    product,
    (await app.inject({ method: 'POST', url: `/integrations/${product}/sync?mode=${mode}` })).json()
      .id
  )
}

async function connect(running: Service, product: Product) {
  await new Browser(running.app).connect(product)
  await synced(running.app, product)
}

const WIKI = { sizes: { spaces: 1, pages: PAGES }, indexLagMs: 0 }

t.test(
  'A connection says when it is copied next by itself: about a SYNC_INTERVAL after the last time, or never',
  async (t) => {
    for (const [interval, minutes] of [
      [undefined, 15],
      ['60', 60],
      ['0', null]
    ] as const) {
      const running = await service(t, interval === undefined ? {} : { SYNC_INTERVAL: interval })
      await connect(running, 'jira')
      const { next_sync_at: next } = (await view(running, 'jira')) ?? {}
      if (minutes === null) {
        t.equal(next, null)
        continue
      }
      const away = (Date.parse(next) - running.sandbox.world.now()) / MINUTE_MS
      t.ok(away > minutes * 0.9 - 1 && away < minutes * 1.1, `${away} minutes of ${minutes}`)
    }
  }
)

t.test(
  'Whoever wants the bodies of pages says so once: they are copied at once, with every change, and taken out again',
  async (t) => {
    const url = await databaseAt(t, join(folder(t), 'bodies.db'))
    const running = await service(t, { INTEGRATION_DB_URL: url }, WIKI)
    const { app, sandbox } = running
    await connect(running, 'confluence')
    const stored = async () =>
      await rowsOf<{ body: string | null; text: string | null }>(
        url,
        'select body, body_text as text from pages'
      )
    t.same(
      await stored(),
      Array(PAGES).fill({ body: null, text: null }),
      'none without being asked'
    )

    t.match((await patch(running, { page_bodies: true })).json(), {
      product: 'confluence',
      page_bodies: true,
      state: 'active'
    })
    t.match(await synced(app, 'confluence', await newest(running, 'confluence')), {
      state: 'succeeded',
      counts: { changed: PAGES, added: 0, removed: 0 }
    })
    t.equal(
      (await stored()).filter(
        ({ body, text }) => body?.includes('<p>') && /^[^<>]+$/.test(text ?? '')
      ).length,
      PAGES,
      'storage format, and plain text beside it'
    )

    const [first] = await pages(running)
    running.pass(MINUTE_MS)
    await sandbox.admin(`pages/${first?.page_id}`, { body: '<p>Entirely &amp; utterly new</p>' })
    t.match(await copy(running, 'confluence'), { state: 'succeeded', counts: { changed: 1 } })
    t.match(
      (await stored()).find(({ body }) => body?.includes('utterly')),
      { text: 'Entirely & utterly new' }
    )
    t.match(await view(running, 'confluence'), { page_bodies: true })
    t.notOk(
      (await pages(running)).some((page) => 'body' in page),
      'lists stay as light as they were'
    )

    t.match((await patch(running, { page_bodies: false })).json(), { page_bodies: false })
    await synced(app, 'confluence', await newest(running, 'confluence'))
    t.same(await stored(), Array(PAGES).fill({ body: null, text: null }))
  }
)

t.test('A wish for bodies that comes while a run is under way is heard as well', async (t) => {
  const url = await databaseAt(t, join(folder(t), 'wish.db'))
  const running = await service(t, { INTEGRATION_DB_URL: url, SYNC_INTERVAL: '0' }, WIKI)
  const { app, sandbox } = running
  await connect(running, 'confluence')
  await sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 500,
    match: { path: 'api/v2/spaces' },
    times: 1
  })
  const underWay = copy(running, 'confluence', 'full')
  await sleep(150)
  t.match((await patch(running, { page_bodies: true })).json(), { page_bodies: true })
  await underWay
  await synced(app, 'confluence', await newest(running, 'confluence'))
  t.same(await rowsOf(url, 'select count(body) as bodies from pages'), [{ bodies: PAGES }])
})

t.test('An option that is none, or of nobody, is refused with a sentence', async (t) => {
  const running = await service(t)
  await running.app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
  t.match((await patch(running, { page_bodies: true })).json(), {
    status: 404,
    code: 'connection_not_found'
  })
  t.match((await confirm(running)).json(), { status: 404, code: 'connection_not_found' })
  for (const payload of [
    {},
    { bodies: true },
    { page_bodies: 'true' },
    { page_bodies: 1 },
    { page_bodies: null },
    []
  ]) {
    t.match(
      (await patch(running, payload)).json(),
      { status: 422, code: 'validation_failed' },
      JSON.stringify(payload)
    )
  }
  for (const url of [
    '/users/9/connections/confluence',
    '/users/9/connections/confluence/confirm-deletions'
  ]) {
    t.match(
      (
        await running.app.inject({
          method: url.endsWith('deletions') ? 'POST' : 'PATCH',
          url,
          ...(url.endsWith('deletions') ? {} : { payload: { page_bodies: true } })
        })
      ).json(),
      { status: 404, code: 'user_not_found' }
    )
  }
})

t.test(
  'A listing that shrank by more than a fifth deletes nothing until somebody confirms it, and the connection says so',
  async (t) => {
    const running = await service(t, {}, WIKI)
    const { app, sandbox } = running
    await connect(running, 'confluence')
    t.match((await confirm(running)).json(), {
      status: 409,
      code: 'no_held_deletions',
      detail: 'No deletions are held back.'
    })
    const gone = (await pages(running)).slice(0, PAGES / 2).map(({ page_id: id }) => id as string)
    for (const id of gone) await sandbox.admin(`pages/${id}`, { status: 'trashed' })

    t.match(await copy(running, 'confluence', 'full'), {
      state: 'partial',
      counts: { removed: 0, held: gone.length },
      error: { code: 'deletions_held', detail: /confirm-deletions/ }
    })
    t.equal((await pages(running)).length, PAGES)
    const { held_deletions: held } = (await view(running, 'confluence')) ?? {}
    t.match(held, [{ collection: 'pages', site: ACME, count: gone.length, since: /^\d{4}-.*Z$/ }])
    t.equal(held.length, 1)
    t.match(
      await copy(running, 'confluence'),
      { counts: { removed: 0 } },
      'what has changed says nothing of them'
    )
    t.same((await view(running, 'confluence'))?.held_deletions, held)

    const confirmed = await confirm(running)
    t.equal(confirmed.statusCode, 200)
    t.match(await synced(app, 'confluence', await newest(running, 'confluence')), {
      mode: 'full',
      state: 'succeeded',
      counts: { removed: gone.length, held: 0 }
    })
    t.same((await view(running, 'confluence'))?.held_deletions, [])
    t.notOk((await pages(running)).some(({ page_id: id }) => gone.includes(id)))
    t.equal((await confirm(running)).statusCode, 409)
  }
)

t.test('The next full listing that agrees is as good as a confirmation', async (t) => {
  const running = await service(t, {}, WIKI)
  await connect(running, 'confluence')
  for (const { page_id: id } of (await pages(running)).slice(0, PAGES / 2)) {
    await running.sandbox.admin(`pages/${id}`, { status: 'trashed' })
  }
  t.match(await copy(running, 'confluence', 'full'), {
    state: 'partial',
    counts: { removed: 0, held: PAGES / 2 }
  })
  t.match(await copy(running, 'confluence', 'full'), {
    state: 'succeeded',
    counts: { removed: PAGES / 2, held: 0 }
  })
  t.equal((await pages(running)).length, PAGES / 2)
  t.same((await view(running, 'confluence'))?.held_deletions, [])
})
