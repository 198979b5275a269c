import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ensureDatabase, queryDatabase } from '../database.ts'
import { waitFor } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { ACME } from '../sandbox/helper.ts'
import type { JsonObject } from '../types.ts'
import { createSyncFixture, waitForRun, getRun } from './time-helper.ts'

/** Two pages of a listing with bodies, whose page size is fifty. */
const PAGE_COUNT = 60
const RUNS_PATH = '/integrations/confluence/sync/runs'

async function createWikiFixture(t: Test) {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'bodies.db'))
  const fixture = await createSyncFixture(t, {
    products: ['confluence'],
    env: { INTEGRATION_DB_URL: url },
    sandbox: { sizes: { projects: 1, issues: 1, spaces: 1, pages: PAGE_COUNT } }
  })
  const getLatestRunId = async (): Promise<number> =>
    (await fixture.app.inject(`${RUNS_PATH}?limit=1`)).json()[0].id
  return {
    ...fixture,
    newest: getLatestRunId,
    /** Number of pages with a body. */
    countBodies: async () =>
      (
        await queryDatabase<{ html: number; text: number }>(
          url,
          'select count(body) as html, count(body_text) as text from pages'
        )
      )[0],
    readBody: async (id: string) =>
      (
        await queryDatabase<JsonObject>(
          url,
          'select title, body, body_text as text from pages where remote_id = ?',
          id
        )
      )[0] as JsonObject,
    /** Resolves to the id of the run that it starts. */
    async setPageBodies(bodies: boolean): Promise<number> {
      t.match(
        (
          await fixture.app.inject({
            method: 'PATCH',
            url: '/users/1/connections/confluence',
            payload: { page_bodies: bodies }
          })
        ).json(),
        { page_bodies: bodies }
      )
      return await getLatestRunId()
    }
  }
}

t.test(
  'Skips and keeps unchanged the page whose body is too large, and no other page',
  async (t) => {
    const fixture = await createWikiFixture(t)
    const [huge = '', large = ''] = await fixture.listNames('pages')
    await fixture.sandbox.admin(`pages/${huge}`, {
      title: 'Huge',
      body: `<p>${'x'.repeat(4 * 1024 * 1024)}</p>`
    })
    await fixture.sandbox.admin(`pages/${large}`, {
      title: 'Large',
      body: `<p>${'y'.repeat(1024 * 1024)} &lt;end&gt;</p>`
    })
    t.match(
      await fixture.runSync('confluence', 'incremental'),
      { state: 'succeeded', counts: { changed: 2 } },
      'bodies are off'
    )
    const first = await waitForRun(fixture.app, 'confluence', await fixture.setPageBodies(true))
    const more = [
      await fixture.runSync('confluence'),
      await fixture.runSync('confluence'),
      await fixture.runSync('confluence', 'incremental')
    ]
    for (const ended of [first, ...more]) {
      t.match(ended, {
        state: 'partial',
        error: { code: 'items_skipped' },
        counts: { skipped: 1, removed: 0 },
        failures: [
          {
            collection: 'pages',
            site: ACME,
            remote_id: huge,
            code: 'item_invalid',
            detail: /^Its body is longer than 4194304 characters\.$/
          }
        ]
      })
      t.equal(ended.failures.length, 1)
    }
    t.same(await fixture.countBodies(), { html: PAGE_COUNT - 1, text: PAGE_COUNT - 1 })
    t.match(await fixture.readBody(huge), { title: 'Huge', body: null, text: null })
    t.equal(
      (await fixture.readBody(large)).text,
      `${'y'.repeat(1024 * 1024)} <end>`,
      'a large body is stored, also as plain text'
    )
    await fixture.sandbox.admin(`pages/${huge}`, { body: '<p>Short</p>' })
    t.match(await fixture.runSync('confluence', 'incremental'), {
      state: 'succeeded',
      counts: { skipped: 0 }
    })
    t.match(
      await fixture.readBody(huge),
      { body: '<p>Short</p>', text: 'Short' },
      'it is copied once it is small enough'
    )
  }
)

t.test(
  'Turning page bodies off during a sync leaves none; turning them on again copies all',
  async (t) => {
    const fixture = await createWikiFixture(t)
    for (let turn = 0; turn < 2; turn++) {
      await fixture.sandbox.admin('faults', { kind: 'hang', match: { path: '/v2/pages' }, skip: 1 })
      const id = await fixture.setPageBodies(true)
      await waitFor(
        async () =>
          (await getRun(fixture, 'confluence', id)).counts.seen > 50 &&
          fixture.sandbox.state.faults.list().length === 0
      )
      t.same(await fixture.countBodies(), { html: 50, text: 50 }, 'halfway')
      await fixture.app.inject({ method: 'DELETE', url: `${RUNS_PATH}/${id}` })
      t.match(await waitForRun(fixture.app, 'confluence', await fixture.setPageBodies(false)), {
        state: 'succeeded'
      })
      t.same(await fixture.countBodies(), { html: 0, text: 0 })
    }
    t.match(await waitForRun(fixture.app, 'confluence', await fixture.setPageBodies(true)), {
      state: 'succeeded',
      counts: { changed: PAGE_COUNT }
    })
    t.same(await fixture.countBodies(), { html: PAGE_COUNT, text: PAGE_COUNT })
    const [space] = (await fixture.app.inject('/confluence/spaces/1')).json()
    const { id } = await fixture.sandbox.admin('pages', {
      space_id: space.space_id,
      title: 'New',
      body: '<h1>New</h1><p>One<br/>two</p>'
    })
    await fixture.runSync('confluence', 'incremental')
    t.same(await fixture.readBody(String(id)), {
      title: 'New',
      body: '<h1>New</h1><p>One<br/>two</p>',
      text: 'New\nOne\ntwo'
    })
  }
)

t.test('Deletes the bodies of deleted pages', async (t) => {
  const fixture = await createWikiFixture(t)
  await waitForRun(fixture.app, 'confluence', await fixture.setPageBodies(true))
  const [name = ''] = await fixture.listNames('pages')
  t.ok((await fixture.readBody(name)).body)
  await fixture.remove('pages', name)
  t.match(await fixture.runSync('confluence'), { counts: { removed: 1 } })
  t.same(
    await fixture.readBody(name),
    { title: '', body: null, text: null },
    'the tombstone keeps the name'
  )
})
