import t from 'tap'
import { service, type Service } from '../auth/helper.ts'
import { Browser, synced, type Test } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'
import { copy, list, OF, type Collection } from './faults-helper.ts'

const SITE = 'https://acme.atlassian.net'
const SIZES = { projects: 24, issues: 60, spaces: 16, pages: 60 }
const LONGEST = 8_192
const [LONG, TOO_LONG] = ['l'.repeat(LONGEST), 'x'.repeat(LONGEST + 1)]

interface Item {
  id: string
  key: string
  space: string
}
/** An item that is shown other than it is. */
interface Bad {
  title: string
  collection: Collection
  fields?: object
  omit?: string[]
  repeat?: number
}
interface Odd extends Bad {
  shows: (item: Item) => object
}
interface Unfit extends Bad {
  because: RegExp
  nameless?: true
}

const odd = (
  collection: Collection,
  title: string,
  fields: object,
  shows: Odd['shows'],
  more: Partial<Bad> = {}
): Odd => ({ collection, title, fields, shows, ...more })
const unfit = (
  collection: Collection,
  title: string,
  fields: object,
  because: RegExp,
  more: Partial<Unfit> = {}
): Unfit => ({ collection, title, fields, because, ...more })
const viewpage = (id: string) => `${SITE}/wiki/pages/viewpage.action?pageId=${id}`
const link = (title: string, webui: unknown, url: (id: string) => string) =>
  odd('pages', title, { '_links.webui': webui }, ({ id }) => ({ url: url(id) }))

/** What can be stored is. */
const ODD: Odd[] = [
  odd('projects', 'without a name', {}, ({ key }) => ({ name: key }), { omit: ['name'] }),
  odd('projects', 'whose name is null', { name: null }, ({ key }) => ({ name: key })),
  odd('projects', 'whose name is a number', { name: 7 }, () => ({ name: '7' })),
  odd('projects', 'whose name is an object', { name: { a: 1 } }, ({ key }) => ({ name: key })),
  odd('projects', 'with control characters', { name: 'a\u0000b\u0007c\u001b[2J\u202e' }, () => ({
    name: 'ab\u0007c\u001b[2J\u202e'
  })),
  odd('projects', 'with half a character', { name: 'a\ud800b\udc00' }, () => ({
    name: 'a\ufffdb\ufffd'
  })),
  odd('projects', 'with a very long name', { name: LONG }, () => ({ name: LONG })),
  odd('projects', 'without a lead', {}, () => ({ lead: null }), { omit: ['lead'] }),
  odd('projects', 'whose lead is a text', { lead: 'Dana' }, () => ({ lead: null })),
  odd('projects', 'whose key walks', { key: '../../../evil' }, () => ({
    key: '../../../evil',
    url: `${SITE}/browse/..%2F..%2F..%2Fevil`
  })),
  odd('projects', 'whose key is another host', { key: '//evil.example/x?#' }, () => ({
    url: `${SITE}/browse/%2F%2Fevil.example%2Fx%3F%23`
  })),
  odd('projects', 'whose key is half a character', { key: 'A\ud800' }, () => ({
    key: 'A\ufffd',
    url: `${SITE}/browse/A%EF%BF%BD`
  })),
  odd('projects', 'that comes three times', {}, ({ key }) => ({ key }), { repeat: 3 }),
  odd('issues', 'without a summary', {}, () => ({ summary: '' }), { omit: ['fields.summary'] }),
  odd(
    'issues',
    'without fields',
    {},
    ({ key }) => ({ key, summary: '', status: null, project_key: key.replace(/-\d+$/, '') }),
    { omit: ['fields'] }
  ),
  odd('issues', 'whose fields are a list', { fields: [] }, () => ({
    summary: '',
    status: null,
    assignee: null
  })),
  odd(
    'issues',
    'whose dates are none',
    { 'fields.created': 'yesterday', 'fields.updated': 17 },
    () => ({ created_at: null })
  ),
  odd('issues', 'of a null project', { 'fields.project': null }, ({ key }) => ({
    project_key: key.replace(/-\d+$/, '')
  })),
  odd('issues', 'with a very long summary', { 'fields.summary': LONG }, () => ({ summary: LONG })),
  odd('issues', 'with NUL', { 'fields.summary': '\u0000\u0000' }, () => ({ summary: '' })),
  odd('issues', 'that comes twice', {}, ({ key }) => ({ key }), { repeat: 2 }),
  odd('spaces', 'without a name', {}, ({ key }) => ({ name: key }), {
    omit: ['name', 'type', 'status']
  }),
  odd('spaces', 'whose key is a path', { key: '../x' }, () => ({
    key: '../x',
    url: `${SITE}/wiki/spaces/..%2Fx`
  })),
  odd('spaces', 'that comes twice', {}, ({ key }) => ({ key }), { repeat: 2 }),
  odd('pages', 'without a title', {}, () => ({ title: '' }), { omit: ['title'] }),
  odd('pages', 'with half a character', { title: '\udfff!' }, () => ({ title: '\ufffd!' })),
  odd('pages', 'with a very long title', { title: LONG }, () => ({ title: LONG })),
  odd('pages', 'without a version', {}, ({ space }) => ({ space_key: space }), {
    omit: ['version']
  }),
  odd('pages', 'whose space is null', { spaceId: null }, ({ space }) => ({ space_key: space })),
  odd(
    'pages',
    'of a space that is not listed',
    { spaceId: '999', '_links.webui': '/spaces/~hidden/pages/1/x' },
    () => ({ space_key: '~hidden', url: `${SITE}/wiki/spaces/~hidden/pages/1/x` })
  ),
  odd('pages', 'that comes five times', {}, ({ id }) => ({ page_id: id }), { repeat: 5 }),
  link('whose link is another host', '//evil.example/x', () => `${SITE}/wiki//evil.example/x`),
  link('whose link is a whole address', 'https://evil.example/x', viewpage),
  link('whose link is a host and a password', '@evil.example/', viewpage),
  link('whose link walks up', '/../..', viewpage),
  link('whose link walks up in disguise', '/%2e%2e/%2E%2e/admin', viewpage),
  link('whose link walks up the other way', '/..\\..\\admin', viewpage),
  link('whose link is two backslashes', '\\\\evil.example', viewpage),
  link('whose link is very long', `/spaces/ENG/${'a'.repeat(5_000)}`, viewpage),
  link('whose link is a script', 'javascript:alert(1)', viewpage),
  link('whose link is a number', 7, viewpage),
  link('whose link has a line break', '/spaces/ENG\r\n/x', () => `${SITE}/wiki/spaces/ENG/x`)
]

/** What cannot be stored is skipped, with the reason. */
const UNFIT: Unfit[] = [
  ...(['projects', 'issues', 'spaces'] as const).flatMap((name) => [
    unfit(name, 'without a key', {}, /no id or no key/, { omit: ['key'] }),
    unfit(name, 'whose key is empty', { key: '' }, /no id or no key/),
    unfit(name, 'whose key is an object', { key: {} }, /no id or no key/),
    unfit(name, 'whose key is too long', { key: TOO_LONG }, /key is longer than 8192/)
  ]),
  ...(['projects', 'spaces'] as const).flatMap((name) => [
    unfit(name, 'whose name is too long', { name: TOO_LONG }, /name is longer than 8192/),
    unfit(name, 'whose id is null', { id: null }, /no id or no key/, { nameless: true })
  ]),
  unfit(
    'issues',
    'whose summary is too long',
    { 'fields.summary': TOO_LONG },
    /summary is longer than 8192/
  ),
  unfit(
    'issues',
    'whose status is too long',
    { 'fields.status.name': TOO_LONG },
    /status is longer than 8192/
  ),
  unfit('issues', 'whose id is null', { id: null }, /no id/, { nameless: true }),
  unfit('pages', 'whose title is too long', { title: TOO_LONG }, /title is longer than 8192/),
  unfit(
    'pages',
    'of no space at all',
    { spaceId: null, _links: null },
    /no space that can be seen/
  ),
  unfit('pages', 'whose id is null', { id: null }, /no id/, { nameless: true })
]

t.test(
  'What is odd is stored as far as it goes, and the copy succeeds: every link stays on the site',
  async (t) => {
    const { here, spoilt } = await spoiling(t, ODD)
    for (const product of ['jira', 'confluence'] as const) {
      const { state, error, failures, counts } = await synced(
        here.app,
        product,
        product === 'jira' ? 1 : 2
      )
      const all = OF[product].reduce((sum, name) => sum + SIZES[name], 0)
      t.same(
        { state, error, failures, seen: counts.seen, added: counts.added, skipped: counts.skipped },
        { state: 'succeeded', error: null, failures: [], seen: all, added: all, skipped: 0 },
        product
      )
    }
    for (const { bad, item } of spoilt) {
      const shows = bad.shows(item)
      const rows = (await list(here, bad.collection)).filter(
        (row) =>
          [row.issue_id, row.space_id, row.page_id].includes(item.id) ||
          row.key === ((shows as Item).key ?? item.key) ||
          row.url === (shows as { url?: string }).url
      )
      t.match(rows, [shows], `one of ${bad.collection} ${bad.title}`)
      t.equal(rows.length, 1)
    }
    for (const name of Object.keys(SIZES) as Collection[]) {
      const rows = await list(here, name)
      t.equal(rows.length, SIZES[name])
      for (const { url } of rows) {
        const { origin, pathname, href } = new URL(url)
        t.ok(
          origin === SITE &&
            (OF.jira.includes(name) || pathname.startsWith('/wiki/')) &&
            href === url,
          url.slice(0, 80)
        )
      }
    }
    for (const product of ['jira', 'confluence'] as const) {
      t.match(
        await copy({ here, product }),
        { state: 'succeeded', counts: { added: 0, changed: 0, removed: 0, skipped: 0 } },
        'and nothing of it changes by being read again'
      )
    }
  }
)

t.test(
  'What does not fit is skipped with a reason, sinks nothing, is tried again and is here when it has been mended',
  async (t) => {
    const { here, spoilt } = await spoiling(t, UNFIT)
    for (const product of ['jira', 'confluence'] as const) {
      const own = spoilt.filter(({ bad }) => OF[product].includes(bad.collection))
      const all = OF[product].reduce((sum, name) => sum + SIZES[name], 0)
      const first = await synced(here.app, product, product === 'jira' ? 1 : 2)
      t.match(first, {
        state: 'partial',
        error: { code: 'items_skipped', detail: new RegExp(`^${own.length} items did not fit`) },
        counts: { added: all - own.length, skipped: own.length }
      })
      t.equal(first.failures.length, own.length)
      for (const { bad, item } of own) {
        const failure = (first.failures as Array<Record<string, string>>).find(
          ({ collection, remote_id: id, detail }) =>
            collection === bad.collection &&
            id === (bad.nameless ? null : item.id) &&
            bad.because.test(detail ?? '')
        )
        t.match(
          failure,
          { site: ACME, code: 'item_invalid' },
          `one of ${bad.collection} ${bad.title}`
        )
      }
      const named = own.filter(
        ({ bad }) => !bad.nameless || bad.collection === 'projects' || bad.collection === 'spaces'
      ).length
      const again = await copy({ here, product }, 'incremental')
      t.match(
        again,
        {
          state: 'partial',
          error: { code: 'items_skipped' },
          counts: { added: 0, skipped: named }
        },
        'they are tried again'
      )
      t.equal(again.failures.length, named)
      for (const { bad, item } of own) {
        await here.sandbox.admin('spoil', { collection: bad.collection, id: item.id, fields: null })
      }
      const mended = await copy({ here, product }, 'incremental')
      t.match(
        mended,
        { state: 'succeeded', error: null, counts: { added: named, skipped: 0, removed: 0 } },
        'and here when they are mended'
      )
      t.same(mended.failures, [])
      const whole = await copy({ here, product })
      t.match(
        whole,
        { state: 'succeeded', counts: { added: own.length - named, removed: 0, skipped: 0 } },
        'with those that had no name in the next full copy'
      )
      for (const name of OF[product]) t.equal((await list(here, name)).length, SIZES[name])
    }
  }
)

/** A service whose Atlassian shows each of these at one item of its own, from the first copy on. */
async function spoiling<T extends Bad>(t: Test, bads: T[]) {
  const here = await service(
    t,
    { SYNC_INTERVAL: '0', ATLASSIAN_HOURLY_POINTS: '100000000' },
    { sizes: SIZES, indexLagMs: 0 }
  )
  const taken = { projects: 1, issues: 1, spaces: 1, pages: 20 }
  const spoilt: Array<{ bad: T; item: Item }> = []
  for (const bad of bads) {
    const item = itemAt(here, bad.collection, taken[bad.collection]++)
    const { collection, fields = {}, omit = [], repeat = 1 } = bad
    await here.sandbox.admin('spoil', { collection, id: item.id, fields, omit, repeat })
    spoilt.push({ bad, item })
  }
  for (const product of ['jira', 'confluence']) await new Browser(here.app).connect(product)
  return { here, spoilt }
}

function itemAt(
  {
    sandbox: {
      world: {
        sites: [site]
      }
    }
  }: Service,
  collection: Collection,
  position: number
): Item {
  const row = site?.[collection].at(position)
  if (site === undefined || row === undefined) throw new Error(`There are too few ${collection}`)
  const key =
    collection === 'issues' ? site.issues.key(row as never) : ((row as { key?: string }).key ?? '')
  return {
    id: row.id,
    key,
    space:
      collection === 'pages'
        ? (site.spaces.at((row as unknown as { space: number }).space)?.key ?? '')
        : ''
  }
}
