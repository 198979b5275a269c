import diagnostics from 'node:diagnostics_channel'
import t from 'tap'
import { service, type Service } from '../auth/helper.ts'
import { Browser, synced, type Test } from '../helper.ts'
import { copy, list, type Collection } from './faults-helper.ts'

const PRODUCTS = ['jira', 'confluence'] as const
const SIZES = { projects: 8, issues: 24, spaces: 8, pages: 24 }
const SITE = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
/** All that may be asked for, without its query. */
const PATHS = new RegExp(
  `^/(?:ex/jira/${SITE}/rest/api/3/(?:project/search|project/\\d+|issue/\\d+|issue/bulkfetch|search/jql|search/approximate-count)|ex/confluence/${SITE}/wiki/(?:rest/api/search|api/v2/(?:pages|spaces)(?:/\\d+)?)|oauth/token(?:/accessible-resources)?|me)$`
)
const QUERIES = [
  /^project is not EMPTY(?: order by created asc)?$/,
  /^created >= "-\d+[md]" order by created asc$/,
  /^updated >= "-\d+[md]" order by updated asc$/,
  /^type = page and lastmodified >= now\("-\d+[md]"\) order by lastmodified asc$/
]

/** What a query, a path or a statement could be made of. */
const HOSTILE = [
  '" OR project is not EMPTY ORDER BY key --',
  "') or type = page or (title ~ '",
  "'; drop table pages; --",
  '") union select 1 --',
  '\\" or 1=1',
  '../../../user?x=',
  '%',
  '__'
]
/** Ids that walk. */
const WALKING = [
  '../../user',
  '1/../../x',
  '1?x=1',
  '1#',
  '%2e%2e',
  '-1',
  '1e3',
  ' 1',
  'abc',
  '999999999999999999999'
]

interface Asked {
  path: string
  query: URLSearchParams
  body: string
}

/** Everything that is asked of anybody while the test lasts, but for what the test itself does. */
function listen(t: Test): Asked[] {
  const asked: Asked[] = []
  const note = (message: unknown) => {
    const { path, body } = (message as { request: { path: string; body: unknown } }).request
    const { pathname, searchParams } = new URL(path, 'http://upstream.invalid')
    // As it went out: a URL parser would take the walk before it could be seen.
    if (!/^\/(admin\/|authorize\?)/.test(path)) {
      asked.push({
        path: /\.\.|%2e/i.test(path) ? path : pathname,
        query: searchParams,
        body: body instanceof Uint8Array ? Buffer.from(body).toString() : ''
      })
    }
  }
  diagnostics.subscribe('undici:request:create', note)
  t.teardown(() => diagnostics.unsubscribe('undici:request:create', note))
  return asked
}

const site = ({ sandbox }: Service) => sandbox.world.sites[0]
const idOf = (here: Service, name: Collection, position: number) =>
  site(here)?.[name].at(position)?.id ?? ''
const spoil = async (
  { sandbox }: Service,
  collection: Collection,
  id: string,
  fields: object | null
) => await sandbox.admin('spoil', { collection, id, fields })

async function copied(
  t: Test,
  prepare: (here: Service) => Promise<void> = async () => {}
): Promise<Service> {
  const here = await service(
    t,
    { SYNC_INTERVAL: '0', ATLASSIAN_HOURLY_POINTS: '100000000' },
    { sizes: SIZES, indexLagMs: 0 }
  )
  await prepare(here)
  for (const [i, product] of PRODUCTS.entries()) {
    await new Browser(here.app).connect(product)
    await synced(here.app, product, i + 1)
  }
  return here
}

t.test(
  'T14 Names and keys never get into a query: what is asked is known to the letter, and what is stored is what was shown',
  async (t) => {
    const here = await copied(t, async (here) => {
      for (const [i, text] of HOSTILE.entries()) {
        await spoil(here, 'projects', idOf(here, 'projects', i), {
          key: `${text}P`,
          name: text,
          'lead.displayName': text
        })
        await spoil(here, 'issues', idOf(here, 'issues', i), {
          key: `${text}-${i}`,
          'fields.summary': text,
          'fields.project.key': text,
          'fields.status.name': text,
          'fields.updated': text
        })
        await spoil(here, 'spaces', idOf(here, 'spaces', i), { key: `${text}S`, name: text })
        await spoil(here, 'pages', idOf(here, 'pages', i), {
          title: text,
          status: text,
          'version.createdAt': text
        })
      }
    })
    // From here on: as full copies do, as incremental ones do, and looking for what is gone.
    const asked = listen(t)
    await here.sandbox.admin(`issues/${idOf(here, 'issues', 20)}`, { deleted: true })
    await here.sandbox.admin(`pages/${idOf(here, 'pages', 20)}`, { status: 'deleted' })
    await here.sandbox.admin(`pages/${idOf(here, 'pages', 2)}`, { body: '<p/>' })
    await here.sandbox.admin(`issues/${idOf(here, 'issues', 2)}`, { status: 'Done' })
    for (const product of PRODUCTS) {
      for (const mode of ['incremental', 'full']) {
        t.match(await copy({ here, product }, mode), {
          state: 'succeeded',
          counts: { removed: mode === 'full' ? 1 : 0 }
        })
      }
    }

    const queries = asked
      .flatMap(({ query, body }) => [
        query.get('cql'),
        query.get('jql'),
        body.includes('"jql"') ? JSON.parse(body).jql : null
      ])
      .filter((each) => each !== null) as string[]
    t.same(
      QUERIES.map((known) => queries.some((each) => known.test(each))),
      [true, false, true, true],
      'full and incremental copies have asked'
    )
    t.same(
      queries.filter((each) => !QUERIES.some((known) => known.test(each))),
      []
    )
    t.same([...new Set(asked.map(({ path }) => path).filter((path) => !PATHS.test(path)))], [])
    const everything = JSON.stringify(
      asked.map(({ path, query, body }) => [decodeURIComponent(path), [...query], body])
    )
    for (const text of HOSTILE.slice(0, 6)) {
      t.notOk(everything.includes(JSON.stringify(text).slice(1, -1)), text)
    }

    for (const [i, text] of HOSTILE.entries()) {
      const has = async (url: string, query: object) =>
        (await here.app.inject({ url, query: query as Record<string, string> })).json() as Array<
          Record<string, unknown>
        >
      t.match(await has('/jira/projects/1', { project: `${text}P` }), [
        { key: `${text}P`, name: text }
      ])
      t.match(await has('/jira/issues/1', { project: text }), [
        { project_key: text, summary: text, key: `${text}-${i}` }
      ])
      t.match(await has('/confluence/spaces/1', { space: `${text}S` }), [
        { key: `${text}S`, name: text }
      ])
      const titles = (await has('/confluence/pages/1', { q: text })).map(({ title }) =>
        String(title)
      )
      t.ok(
        titles.includes(text) && titles.every((title) => title.includes(text)),
        `a search for ${text} finds just that`
      )
    }
  }
)

t.test(
  'T17 An id that is no number never reaches a path, and what goes by it is deleted only after two complete listings',
  async (t) => {
    const asked = listen(t)
    const here = await copied(t)
    const names = Object.keys(SIZES) as Collection[]
    const positions = { projects: 1, issues: 1, spaces: 1, pages: 10 }
    const walking = names
      .map((name) =>
        WALKING.slice(0, 5).map((id, i) => ({
          name,
          id,
          real: idOf(here, name, positions[name] + i)
        }))
      )
      .flat()
      .concat(
        WALKING.slice(5).map((id, i) => ({
          name: 'pages',
          id,
          real: idOf(here, 'pages', positions.pages + 5 + i)
        }))
      )
    for (const { name, id, real } of walking) await spoil(here, name, real, { id })
    for (const product of PRODUCTS) {
      for (const mode of ['full', 'incremental']) {
        t.match(
          await copy({ here, product }, mode),
          { counts: { removed: 0 } },
          `${product} ${mode}`
        )
      }
    }
    const among = async (name: Collection) =>
      (await list(here, name)).map((row) => row.issue_id ?? row.space_id ?? row.page_id)
    const shown = walking.filter(({ name }) => name === 'pages' || name === 'spaces')
    for (const { name, id } of shown) t.ok((await among(name)).includes(id), `${name} ${id}`)
    for (const { name, real } of walking) await spoil(here, name, real, null)
    const removals: number[] = []
    for (let i = 0; i < 3; i++) {
      removals.push((await copy({ here, product: 'confluence' })).counts.removed)
    }
    t.same(removals, [0, shown.length, 0], 'nobody can be asked for them, so it takes two listings')
    for (const name of ['spaces', 'pages'] as const) {
      t.equal((await list(here, name)).length, SIZES[name])
    }
    t.same([...new Set(asked.map(({ path }) => path).filter((path) => !PATHS.test(path)))], [])
  }
)
