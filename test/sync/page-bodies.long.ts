import { join } from 'node:path'
import t, { type Test } from 'tap'
import { databaseAt, rowsOf } from '../database.ts'
import { folder } from '../process/child.ts'
import { ACME } from '../sandbox/helper.ts'
import { place, synced, until, run, type Row } from './time-helper.ts'

/** Two pages of a listing with bodies, which takes fifty at a time. */
const PAGES = 60
const RUNS = '/integrations/confluence/sync/runs'

async function wiki(t: Test) {
  const url = await databaseAt(t, join(folder(t), 'bodies.db'))
  const here = await place(t, {
    products: ['confluence'],
    env: { INTEGRATION_DB_URL: url },
    sandbox: { sizes: { projects: 1, issues: 1, spaces: 1, pages: PAGES } }
  })
  const newest = async (): Promise<number> =>
    (await here.app.inject(`${RUNS}?limit=1`)).json()[0].id
  return {
    ...here,
    newest,
    /** Of how many pages there are bodies. */
    bodies: async () =>
      (
        await rowsOf<{ html: number; text: number }>(
          url,
          'select count(body) as html, count(body_text) as text from pages'
        )
      )[0],
    body: async (id: string) =>
      (
        await rowsOf<Row>(
          url,
          'select title, body, body_text as text from pages where remote_id = ?',
          id
        )
      )[0] as Row,
    /** Resolves to the id of the run that it begins. */
    async choose(bodies: boolean): Promise<number> {
      t.match(
        (
          await here.app.inject({
            method: 'PATCH',
            url: '/users/1/connections/confluence',
            payload: { page_bodies: bodies }
          })
        ).json(),
        { page_bodies: bodies }
      )
      return await newest()
    }
  }
}

t.test(
  'A body of an absurd size is a reason to skip its page, which stays as it was, and no other one',
  async (t) => {
    const here = await wiki(t)
    const [huge = '', large = ''] = await here.names('pages')
    await here.sandbox.admin(`pages/${huge}`, {
      title: 'Huge',
      body: `<p>${'x'.repeat(4 * 1024 * 1024)}</p>`
    })
    await here.sandbox.admin(`pages/${large}`, {
      title: 'Large',
      body: `<p>${'y'.repeat(1024 * 1024)} &lt;end&gt;</p>`
    })
    t.match(
      await here.copy('confluence', 'incremental'),
      { state: 'succeeded', counts: { changed: 2 } },
      'nobody has asked for bodies'
    )
    const first = await synced(here.app, 'confluence', await here.choose(true))
    const more = [
      await here.copy('confluence'),
      await here.copy('confluence'),
      await here.copy('confluence', 'incremental')
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
    t.same(await here.bodies(), { html: PAGES - 1, text: PAGES - 1 })
    t.match(await here.body(huge), { title: 'Huge', body: null, text: null })
    t.equal(
      (await here.body(large)).text,
      `${'y'.repeat(1024 * 1024)} <end>`,
      'a large one is stored, as plain text too'
    )
    await here.sandbox.admin(`pages/${huge}`, { body: '<p>Short</p>' })
    t.match(await here.copy('confluence', 'incremental'), {
      state: 'succeeded',
      counts: { skipped: 0 }
    })
    t.match(
      await here.body(huge),
      { body: '<p>Short</p>', text: 'Short' },
      'and it comes when it fits'
    )
  }
)

t.test(
  'A wish that is taken back while it is being fulfilled leaves no bodies, and one that is made again leaves none out',
  async (t) => {
    const here = await wiki(t)
    for (let turn = 0; turn < 2; turn++) {
      await here.sandbox.admin('faults', { kind: 'hang', match: { path: '/v2/pages' }, skip: 1 })
      const id = await here.choose(true)
      await until(
        async () =>
          (await run(here, 'confluence', id)).counts.seen > 50 &&
          here.sandbox.world.faults.list().length === 0
      )
      t.same(await here.bodies(), { html: 50, text: 50 }, 'halfway')
      await here.app.inject({ method: 'DELETE', url: `${RUNS}/${id}` })
      t.match(await synced(here.app, 'confluence', await here.choose(false)), {
        state: 'succeeded'
      })
      t.same(await here.bodies(), { html: 0, text: 0 })
    }
    t.match(await synced(here.app, 'confluence', await here.choose(true)), {
      state: 'succeeded',
      counts: { changed: PAGES }
    })
    t.same(await here.bodies(), { html: PAGES, text: PAGES })
    const [space] = (await here.app.inject('/confluence/spaces/1')).json()
    const { id } = await here.sandbox.admin('pages', {
      space_id: space.space_id,
      title: 'New',
      body: '<h1>New</h1><p>One<br/>two</p>'
    })
    await here.copy('confluence', 'incremental')
    t.same(await here.body(String(id)), {
      title: 'New',
      body: '<h1>New</h1><p>One<br/>two</p>',
      text: 'New\nOne\ntwo'
    })
  }
)

t.test('Bodies of pages that are gone are gone as well', async (t) => {
  const here = await wiki(t)
  await synced(here.app, 'confluence', await here.choose(true))
  const [name = ''] = await here.names('pages')
  t.ok((await here.body(name)).body)
  await here.remove('pages', name)
  t.match(await here.copy('confluence'), { counts: { removed: 1 } })
  t.same(await here.body(name), { title: '', body: null, text: null }, 'what stays is a name')
})
