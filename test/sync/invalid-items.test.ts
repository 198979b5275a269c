import t from 'tap'
import { startTestService, type TestService } from '../auth/helper.ts'
import { Browser, waitForRun } from '../helper.ts'
import { ACME } from '../sandbox/helper.ts'
import type { TestContext } from '../types.ts'
import { runSync, listItems, COLLECTIONS_BY_PRODUCT, type CollectionName } from './faults-helper.ts'

const SITE_URL = 'https://acme.atlassian.net'
const SIZES = { projects: 24, issues: 60, spaces: 16, pages: 60 }
const MAX_TEXT_LENGTH = 8_192
const [LONGEST_TEXT, OVERLONG_TEXT] = ['l'.repeat(MAX_TEXT_LENGTH), 'x'.repeat(MAX_TEXT_LENGTH + 1)]

interface ListedItem {
  id: string
  key: string
  space: string
}
/** An item that lists return in corrupted form. */
interface CorruptItem {
  title: string
  collection: CollectionName
  fields?: object
  omit?: string[]
  repeat?: number
}
interface ToleratedItem extends CorruptItem {
  getExpectedFields: (item: ListedItem) => object
}
interface SkippedItem extends CorruptItem {
  expectedReason: RegExp
  isWithoutId?: true
}

const defineTolerated = (
  collection: CollectionName,
  title: string,
  fields: object,
  getExpectedFields: ToleratedItem['getExpectedFields'],
  more: Partial<CorruptItem> = {}
): ToleratedItem => ({ collection, title, fields, getExpectedFields, ...more })
const defineSkipped = (
  collection: CollectionName,
  title: string,
  fields: object,
  expectedReason: RegExp,
  more: Partial<SkippedItem> = {}
): SkippedItem => ({ collection, title, fields, expectedReason, ...more })
const buildViewPageUrl = (id: string) => `${SITE_URL}/wiki/pages/viewpage.action?pageId=${id}`
const defineToleratedLink = (title: string, webui: unknown, url: (id: string) => string) =>
  defineTolerated('pages', title, { '_links.webui': webui }, ({ id }) => ({ url: url(id) }))

/** Items that are stored as far as possible. */
const TOLERATED_ITEMS: ToleratedItem[] = [
  defineTolerated('projects', 'without a name', {}, ({ key }) => ({ name: key }), {
    omit: ['name']
  }),
  defineTolerated('projects', 'whose name is null', { name: null }, ({ key }) => ({ name: key })),
  defineTolerated('projects', 'whose name is a number', { name: 7 }, () => ({ name: '7' })),
  defineTolerated('projects', 'whose name is an object', { name: { a: 1 } }, ({ key }) => ({
    name: key
  })),
  defineTolerated(
    'projects',
    'with control characters',
    { name: 'a\u0000b\u0007c\u001b[2J\u202e' },
    () => ({
      name: 'ab\u0007c\u001b[2J\u202e'
    })
  ),
  defineTolerated('projects', 'with half a character', { name: 'a\ud800b\udc00' }, () => ({
    name: 'a\ufffdb\ufffd'
  })),
  defineTolerated('projects', 'with a very long name', { name: LONGEST_TEXT }, () => ({
    name: LONGEST_TEXT
  })),
  defineTolerated('projects', 'without a lead', {}, () => ({ lead: null }), { omit: ['lead'] }),
  defineTolerated('projects', 'whose lead is a text', { lead: 'Dana' }, () => ({ lead: null })),
  defineTolerated('projects', 'whose key walks', { key: '../../../evil' }, () => ({
    key: '../../../evil',
    url: `${SITE_URL}/browse/..%2F..%2F..%2Fevil`
  })),
  defineTolerated('projects', 'whose key is another host', { key: '//evil.example/x?#' }, () => ({
    url: `${SITE_URL}/browse/%2F%2Fevil.example%2Fx%3F%23`
  })),
  defineTolerated('projects', 'whose key is half a character', { key: 'A\ud800' }, () => ({
    key: 'A\ufffd',
    url: `${SITE_URL}/browse/A%EF%BF%BD`
  })),
  defineTolerated('projects', 'that comes three times', {}, ({ key }) => ({ key }), { repeat: 3 }),
  defineTolerated('issues', 'without a summary', {}, () => ({ summary: '' }), {
    omit: ['fields.summary']
  }),
  defineTolerated(
    'issues',
    'without fields',
    {},
    ({ key }) => ({ key, summary: '', status: null, project_key: key.replace(/-\d+$/, '') }),
    { omit: ['fields'] }
  ),
  defineTolerated('issues', 'whose fields are a list', { fields: [] }, () => ({
    summary: '',
    status: null,
    assignee: null
  })),
  defineTolerated(
    'issues',
    'whose dates are none',
    { 'fields.created': 'yesterday', 'fields.updated': 17 },
    () => ({ created_at: null })
  ),
  defineTolerated('issues', 'of a null project', { 'fields.project': null }, ({ key }) => ({
    project_key: key.replace(/-\d+$/, '')
  })),
  defineTolerated('issues', 'with a very long summary', { 'fields.summary': LONGEST_TEXT }, () => ({
    summary: LONGEST_TEXT
  })),
  defineTolerated('issues', 'with NUL', { 'fields.summary': '\u0000\u0000' }, () => ({
    summary: ''
  })),
  defineTolerated('issues', 'that comes twice', {}, ({ key }) => ({ key }), { repeat: 2 }),
  defineTolerated('spaces', 'without a name', {}, ({ key }) => ({ name: key }), {
    omit: ['name', 'type', 'status']
  }),
  defineTolerated('spaces', 'whose key is a path', { key: '../x' }, () => ({
    key: '../x',
    url: `${SITE_URL}/wiki/spaces/..%2Fx`
  })),
  defineTolerated('spaces', 'that comes twice', {}, ({ key }) => ({ key }), { repeat: 2 }),
  defineTolerated('pages', 'without a title', {}, () => ({ title: '' }), { omit: ['title'] }),
  defineTolerated('pages', 'with half a character', { title: '\udfff!' }, () => ({
    title: '\ufffd!'
  })),
  defineTolerated('pages', 'with a very long title', { title: LONGEST_TEXT }, () => ({
    title: LONGEST_TEXT
  })),
  defineTolerated('pages', 'without a version', {}, ({ space }) => ({ space_key: space }), {
    omit: ['version']
  }),
  defineTolerated('pages', 'whose space is null', { spaceId: null }, ({ space }) => ({
    space_key: space
  })),
  defineTolerated(
    'pages',
    'of a space that is not listed',
    { spaceId: '999', '_links.webui': '/spaces/~hidden/pages/1/x' },
    () => ({ space_key: '~hidden', url: `${SITE_URL}/wiki/spaces/~hidden/pages/1/x` })
  ),
  defineTolerated('pages', 'that comes five times', {}, ({ id }) => ({ page_id: id }), {
    repeat: 5
  }),
  defineToleratedLink(
    'whose link is another host',
    '//evil.example/x',
    () => `${SITE_URL}/wiki//evil.example/x`
  ),
  defineToleratedLink('whose link is a whole address', 'https://evil.example/x', buildViewPageUrl),
  defineToleratedLink('whose link is a host and a password', '@evil.example/', buildViewPageUrl),
  defineToleratedLink('whose link walks up', '/../..', buildViewPageUrl),
  defineToleratedLink('whose link walks up in disguise', '/%2e%2e/%2E%2e/admin', buildViewPageUrl),
  defineToleratedLink('whose link walks up the other way', '/..\\..\\admin', buildViewPageUrl),
  defineToleratedLink('whose link is two backslashes', '\\\\evil.example', buildViewPageUrl),
  defineToleratedLink(
    'whose link is very long',
    `/spaces/ENG/${'a'.repeat(5_000)}`,
    buildViewPageUrl
  ),
  defineToleratedLink('whose link is a script', 'javascript:alert(1)', buildViewPageUrl),
  defineToleratedLink('whose link is a number', 7, buildViewPageUrl),
  defineToleratedLink(
    'whose link has a line break',
    '/spaces/ENG\r\n/x',
    () => `${SITE_URL}/wiki/spaces/ENG/x`
  )
]

/** Items that are skipped, with the reason. */
const SKIPPED_ITEMS: SkippedItem[] = [
  ...(['projects', 'issues', 'spaces'] as const).flatMap((name) => [
    defineSkipped(name, 'without a key', {}, /no id or no key/, { omit: ['key'] }),
    defineSkipped(name, 'whose key is empty', { key: '' }, /no id or no key/),
    defineSkipped(name, 'whose key is an object', { key: {} }, /no id or no key/),
    defineSkipped(name, 'whose key is too long', { key: OVERLONG_TEXT }, /key is longer than 8192/)
  ]),
  ...(['projects', 'spaces'] as const).flatMap((name) => [
    defineSkipped(
      name,
      'whose name is too long',
      { name: OVERLONG_TEXT },
      /name is longer than 8192/
    ),
    defineSkipped(name, 'whose id is null', { id: null }, /no id or no key/, { isWithoutId: true })
  ]),
  defineSkipped(
    'issues',
    'whose summary is too long',
    { 'fields.summary': OVERLONG_TEXT },
    /summary is longer than 8192/
  ),
  defineSkipped(
    'issues',
    'whose status is too long',
    { 'fields.status.name': OVERLONG_TEXT },
    /status is longer than 8192/
  ),
  defineSkipped('issues', 'whose id is null', { id: null }, /no id/, { isWithoutId: true }),
  defineSkipped(
    'pages',
    'whose title is too long',
    { title: OVERLONG_TEXT },
    /title is longer than 8192/
  ),
  defineSkipped(
    'pages',
    'of no space at all',
    { spaceId: null, _links: null },
    /space is not visible to this account/
  ),
  defineSkipped('pages', 'whose id is null', { id: null }, /no id/, { isWithoutId: true })
]

t.test('Stores unusual items as far as possible, and every link stays on the site', async (t) => {
  const { service, spoilt: corrupted } = await startCorruptedService(t, TOLERATED_ITEMS)
  for (const product of ['jira', 'confluence'] as const) {
    const { state, error, failures, counts } = await waitForRun(
      service.app,
      product,
      product === 'jira' ? 1 : 2
    )
    const all = COLLECTIONS_BY_PRODUCT[product].reduce((sum, name) => sum + SIZES[name], 0)
    t.same(
      { state, error, failures, seen: counts.seen, added: counts.added, skipped: counts.skipped },
      { state: 'succeeded', error: null, failures: [], seen: all, added: all, skipped: 0 },
      product
    )
  }
  for (const { bad, item } of corrupted) {
    const shows = bad.getExpectedFields(item)
    const rows = (await listItems(service, bad.collection)).filter(
      (row) =>
        [row.issue_id, row.space_id, row.page_id].includes(item.id) ||
        row.key === ((shows as ListedItem).key ?? item.key) ||
        row.url === (shows as { url?: string }).url
    )
    t.match(rows, [shows], `one of ${bad.collection} ${bad.title}`)
    t.equal(rows.length, 1)
  }
  for (const name of Object.keys(SIZES) as CollectionName[]) {
    const rows = await listItems(service, name)
    t.equal(rows.length, SIZES[name])
    for (const { url } of rows) {
      const { origin, pathname, href } = new URL(url)
      t.ok(
        origin === SITE_URL &&
          (COLLECTIONS_BY_PRODUCT.jira.includes(name) || pathname.startsWith('/wiki/')) &&
          href === url,
        url.slice(0, 80)
      )
    }
  }
  for (const product of ['jira', 'confluence'] as const) {
    t.match(
      await runSync({ service, product }),
      { state: 'succeeded', counts: { added: 0, changed: 0, removed: 0, skipped: 0 } },
      'reading them again changes nothing'
    )
  }
})

t.test(
  'Skips invalid items with a reason, retries them, and copies them once they are valid',
  async (t) => {
    const { service, spoilt } = await startCorruptedService(t, SKIPPED_ITEMS)
    for (const product of ['jira', 'confluence'] as const) {
      const own = spoilt.filter(({ bad }) =>
        COLLECTIONS_BY_PRODUCT[product].includes(bad.collection)
      )
      const all = COLLECTIONS_BY_PRODUCT[product].reduce((sum, name) => sum + SIZES[name], 0)
      const first = await waitForRun(service.app, product, product === 'jira' ? 1 : 2)
      t.match(first, {
        state: 'partial',
        error: {
          code: 'items_skipped',
          detail: new RegExp(`^${own.length} items could not be stored`)
        },
        counts: { added: all - own.length, skipped: own.length }
      })
      t.equal(first.failures.length, own.length)
      for (const { bad, item } of own) {
        const failure = (first.failures as Array<Record<string, string>>).find(
          ({ collection, remote_id: id, detail }) =>
            collection === bad.collection &&
            id === (bad.isWithoutId ? null : item.id) &&
            bad.expectedReason.test(detail ?? '')
        )
        t.match(
          failure,
          { site: ACME, code: 'item_invalid' },
          `one of ${bad.collection} ${bad.title}`
        )
      }
      const named = own.filter(
        ({ bad }) =>
          !bad.isWithoutId || bad.collection === 'projects' || bad.collection === 'spaces'
      ).length
      const again = await runSync({ service, product }, 'incremental')
      t.match(
        again,
        {
          state: 'partial',
          error: { code: 'items_skipped' },
          counts: { added: 0, skipped: named }
        },
        'they are retried'
      )
      t.equal(again.failures.length, named)
      for (const { bad, item } of own) {
        await service.sandbox.admin('spoil', {
          collection: bad.collection,
          id: item.id,
          fields: null
        })
      }
      const mended = await runSync({ service, product }, 'incremental')
      t.match(
        mended,
        { state: 'succeeded', error: null, counts: { added: named, skipped: 0, removed: 0 } },
        'copied once they are valid'
      )
      t.same(mended.failures, [])
      const whole = await runSync({ service, product })
      t.match(
        whole,
        { state: 'succeeded', counts: { added: own.length - named, removed: 0, skipped: 0 } },
        'the others with the next full sync'
      )
      for (const name of COLLECTIONS_BY_PRODUCT[product]) {
        t.equal((await listItems(service, name)).length, SIZES[name])
      }
    }
  }
)

/** A service whose sandbox corrupts one item per entry from the first sync on. */
async function startCorruptedService<T extends CorruptItem>(t: TestContext, corruptItems: T[]) {
  const service = await startTestService(
    t,
    { SYNC_INTERVAL: '0', ATLASSIAN_HOURLY_POINTS: '100000000' },
    { sizes: SIZES, indexLagMs: 0 }
  )
  const nextPositions = { projects: 1, issues: 1, spaces: 1, pages: 20 }
  const spoilt: Array<{ bad: T; item: ListedItem }> = []
  for (const bad of corruptItems) {
    const item = getItemAt(service, bad.collection, nextPositions[bad.collection]++)
    const { collection, fields = {}, omit = [], repeat = 1 } = bad
    await service.sandbox.admin('spoil', { collection, id: item.id, fields, omit, repeat })
    spoilt.push({ bad, item })
  }
  for (const product of ['jira', 'confluence']) await new Browser(service.app).connect(product)
  return { service, spoilt }
}

function getItemAt(
  {
    sandbox: {
      state: {
        sites: [site]
      }
    }
  }: TestService,
  collection: CollectionName,
  position: number
): ListedItem {
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
