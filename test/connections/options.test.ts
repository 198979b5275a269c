import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { Browser, waitForRun, type Product } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { ACME } from '../sandbox/helper.ts'
import { MINUTE_MS } from '../time.ts'

const PAGE_COUNT = 20

const getConnection = async ({ app }: TestService, product: Product) =>
  (
    (await app.inject('/users/1/connections')).json().connections as Array<Record<string, any>>
  ).find((each) => each.product === product)
const patchConnection = async (
  { app }: TestService,
  payload: object,
  product: Product = 'confluence'
) => await app.inject({ method: 'PATCH', url: `/users/1/connections/${product}`, payload })
const confirmDeletions = async ({ app }: TestService, product: Product = 'confluence') =>
  await app.inject({ method: 'POST', url: `/users/1/connections/${product}/confirm-deletions` })
const getLatestRunId = async ({ app }: TestService, product: Product) =>
  (await app.inject(`/integrations/${product}/sync/runs?limit=1`)).json()[0].id as number
const listPages = async ({ app }: TestService) =>
  (await app.inject('/confluence/pages/1')).json() as Array<Record<string, any>>

/** Runs a sync and waits for its end. */
async function runSync({ app }: TestService, product: Product, mode = 'due') {
  return await waitForRun(
    app,
    product,
    (await app.inject({ method: 'POST', url: `/integrations/${product}/sync?mode=${mode}` })).json()
      .id
  )
}

async function connectProduct(running: TestService, product: Product) {
  await new Browser(running.app).connect(product)
  await waitForRun(running.app, product)
}

const WIKI_SANDBOX = { sizes: { spaces: 1, pages: PAGE_COUNT }, indexLagMs: 0 }

t.test(
  'A connection reports its next scheduled copy: about one SYNC_INTERVAL after the last, or never',
  async (t) => {
    for (const [interval, minutes] of [
      [undefined, 15],
      ['60', 60],
      ['0', null]
    ] as const) {
      const running = await startTestService(
        t,
        interval === undefined ? {} : { SYNC_INTERVAL: interval }
      )
      await connectProduct(running, 'jira')
      const { next_sync_at: next } = (await getConnection(running, 'jira')) ?? {}
      if (minutes === null) {
        t.equal(next, null)
        continue
      }
      const away = (Date.parse(next) - running.sandbox.state.now()) / MINUTE_MS
      t.ok(away > minutes * 0.9 - 1 && away < minutes * 1.1, `${away} minutes of ${minutes}`)
    }
  }
)

t.test(
  'Enabling page bodies copies them at once and with every change; disabling removes them',
  async (t) => {
    const url = await ensureDatabase(t, join(createTempFolder(t), 'bodies.db'))
    const running = await startTestService(t, { INTEGRATION_DB_URL: url }, WIKI_SANDBOX)
    const { app, sandbox } = running
    await connectProduct(running, 'confluence')
    const stored = async () =>
      await queryDatabase<{ body: string | null; text: string | null }>(
        url,
        'select body, body_text as text from pages'
      )
    t.same(await stored(), Array(PAGE_COUNT).fill({ body: null, text: null }), 'off by default')

    t.match((await patchConnection(running, { page_bodies: true })).json(), {
      product: 'confluence',
      page_bodies: true,
      state: 'active'
    })
    const [audited] = await app.store.audit.list({ action: 'options_chosen' }, 10)
    t.match(audited, { userId: 1, connectionId: 1, product: 'confluence' }, 'the audit trail')
    t.same(JSON.parse(audited?.detail ?? ''), { page_bodies: true })
    t.match(await waitForRun(app, 'confluence', await getLatestRunId(running, 'confluence')), {
      state: 'succeeded',
      counts: { changed: PAGE_COUNT, added: 0, removed: 0 }
    })
    t.equal(
      (await stored()).filter(
        ({ body, text }) => body?.includes('<p>') && /^[^<>]+$/.test(text ?? '')
      ).length,
      PAGE_COUNT,
      'storage format, and plain text'
    )

    const [first] = await listPages(running)
    running.advanceTime(MINUTE_MS)
    await sandbox.admin(`pages/${first?.page_id}`, { body: '<p>Entirely &amp; utterly new</p>' })
    t.match(await runSync(running, 'confluence'), { state: 'succeeded', counts: { changed: 1 } })
    t.match(
      (await stored()).find(({ body }) => body?.includes('utterly')),
      { text: 'Entirely & utterly new' }
    )
    t.match(await getConnection(running, 'confluence'), { page_bodies: true })
    t.notOk(
      (await listPages(running)).some((page) => 'body' in page),
      'lists have no bodies'
    )

    t.match((await patchConnection(running, { page_bodies: false })).json(), { page_bodies: false })
    await waitForRun(app, 'confluence', await getLatestRunId(running, 'confluence'))
    t.same(await stored(), Array(PAGE_COUNT).fill({ body: null, text: null }))
  }
)

t.test('Enabling page bodies during a run takes effect too', async (t) => {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'wish.db'))
  const running = await startTestService(
    t,
    { INTEGRATION_DB_URL: url, SYNC_INTERVAL: '0' },
    WIKI_SANDBOX
  )
  const { app, sandbox } = running
  await connectProduct(running, 'confluence')
  await sandbox.admin('faults', {
    kind: 'delay',
    delay_ms: 500,
    match: { path: 'api/v2/spaces' },
    times: 1
  })
  const underWay = runSync(running, 'confluence', 'full')
  await sleep(150)
  t.match((await patchConnection(running, { page_bodies: true })).json(), { page_bodies: true })
  await underWay
  await waitForRun(app, 'confluence', await getLatestRunId(running, 'confluence'))
  t.same(await queryDatabase(url, 'select count(body) as bodies from pages'), [
    { bodies: PAGE_COUNT }
  ])
})

t.test(
  'Rejects an unknown option, and an option without a connection, with a sentence',
  async (t) => {
    const running = await startTestService(t)
    await running.app.inject({
      method: 'POST',
      url: '/users',
      payload: { email: 'ada@example.com' }
    })
    t.match((await patchConnection(running, { page_bodies: true })).json(), {
      status: 404,
      code: 'connection_not_found'
    })
    t.match((await confirmDeletions(running)).json(), { status: 404, code: 'connection_not_found' })
    for (const payload of [
      {},
      { bodies: true },
      { page_bodies: 'true' },
      { page_bodies: 1 },
      { page_bodies: null },
      []
    ]) {
      t.match(
        (await patchConnection(running, payload)).json(),
        { status: 422, code: 'validation_failed' },
        JSON.stringify(payload)
      )
    }
    t.match(
      (await patchConnection(running, { page_bodies: true }, 'jira')).json(),
      { status: 422, code: 'validation_failed' },
      'a product without options rejects every option'
    )
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
  }
)

t.test(
  'A listing that shrank by more than a fifth deletes nothing without a confirmation, and is reported',
  async (t) => {
    const running = await startTestService(t, {}, WIKI_SANDBOX)
    const { app, sandbox } = running
    await connectProduct(running, 'confluence')
    t.match((await confirmDeletions(running)).json(), {
      status: 409,
      code: 'no_held_deletions',
      detail: 'No deletions are on hold.'
    })
    const deletedIds = (await listPages(running))
      .slice(0, PAGE_COUNT / 2)
      .map(({ page_id: id }) => id as string)
    for (const id of deletedIds) await sandbox.admin(`pages/${id}`, { status: 'trashed' })

    t.match(await runSync(running, 'confluence', 'full'), {
      state: 'partial',
      counts: { removed: 0, held: deletedIds.length },
      error: { code: 'deletions_held', detail: /confirm-deletions/ }
    })
    t.equal((await listPages(running)).length, PAGE_COUNT)
    const { held_deletions: heldDeletions } = (await getConnection(running, 'confluence')) ?? {}
    t.match(heldDeletions, [
      { collection: 'pages', site: ACME, count: deletedIds.length, since: /^\d{4}-.*Z$/ }
    ])
    t.equal(heldDeletions.length, 1)
    t.match(
      await runSync(running, 'confluence'),
      { counts: { removed: 0 } },
      'an incremental run does not delete them'
    )
    t.same((await getConnection(running, 'confluence'))?.held_deletions, heldDeletions)

    const confirmed = await confirmDeletions(running)
    t.equal(confirmed.statusCode, 200)
    t.match(await waitForRun(app, 'confluence', await getLatestRunId(running, 'confluence')), {
      mode: 'full',
      state: 'succeeded',
      counts: { removed: deletedIds.length, held: 0 }
    })
    t.same((await getConnection(running, 'confluence'))?.held_deletions, [])
    t.notOk((await listPages(running)).some(({ page_id: id }) => deletedIds.includes(id)))
    t.equal((await confirmDeletions(running)).statusCode, 409)
  }
)

t.test('A second full listing with the same result confirms the deletions', async (t) => {
  const running = await startTestService(t, {}, WIKI_SANDBOX)
  await connectProduct(running, 'confluence')
  for (const { page_id: id } of (await listPages(running)).slice(0, PAGE_COUNT / 2)) {
    await running.sandbox.admin(`pages/${id}`, { status: 'trashed' })
  }
  t.match(await runSync(running, 'confluence', 'full'), {
    state: 'partial',
    counts: { removed: 0, held: PAGE_COUNT / 2 }
  })
  t.match(await runSync(running, 'confluence', 'full'), {
    state: 'succeeded',
    counts: { removed: PAGE_COUNT / 2, held: 0 }
  })
  t.equal((await listPages(running)).length, PAGE_COUNT / 2)
  t.same((await getConnection(running, 'confluence'))?.held_deletions, [])
})
