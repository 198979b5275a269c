import t from 'tap'
import {
  SITE_URL,
  createNetworkFixture,
  fakeResponse,
  connectPerson,
  runSync,
  findUnsafeUrls
} from './outbound-helper.ts'

const buildHostileLinks = (foreign: string): unknown[] => [
  `${foreign}/wiki/api/v2/pages?cursor=abc`,
  `//${new URL(foreign).host}/wiki/api/v2/pages?cursor=abc`,
  'https://evil.example/?cursor=abc',
  'http://169.254.169.254/?cursor=abc',
  'https://acme.atlassian.net@evil.example/?cursor=a',
  'javascript:alert(1)?cursor=abc',
  'file:///etc/passwd?cursor=abc',
  '\\\\evil.example\\?cursor=abc',
  '/../../../admin/state?cursor=abc',
  '../../admin?cursor=abc',
  '?cursor=../../../admin',
  '?cursor=%2F..%2F..%2Fadmin',
  '?cursor=abc%23',
  '?cursor=abc%26limit%3D9999',
  '?cursor=a%0d%0aHost:%20evil.example',
  '?cursor=%00',
  '?cursor=http%3A%2F%2Fevil.example',
  `?cursor=${'x'.repeat(5_000)}`,
  '?cursor=',
  '#?cursor=abc',
  'http://[::1',
  'abc',
  1,
  {},
  ['?cursor=abc']
]

t.test('C13 T28 Uses only the cursor of a hostile next-page link, at the gateway', async (t) => {
  const fixture = await createNetworkFixture(t)
  const user = await connectPerson(fixture, 'confluence', 'one')
  await runSync(fixture, 'confluence', user)
  t.same(fixture.takeViolations(), [])
  for (const [i, next] of buildHostileLinks(fixture.foreignUrl).entries()) {
    const link = typeof next === 'string' ? next.replace('abc', `abc${i}`) : next
    const page = {
      id: `${900 + i}`,
      spaceId: '../../1&ids=2',
      title: 'x',
      _links: {
        webui: [
          '@evil.example/',
          '.evil.example/x',
          '/spaces/../../..//evil.example/',
          '/spaces/x/"><script>',
          'https://evil.example'
        ][i % 5]
      }
    }
    await fakeResponse(
      fixture,
      '/wiki/api/v2/pages',
      { results: [page], _links: { next: link, base: fixture.foreignUrl } },
      1
    )
    await fakeResponse(
      fixture,
      '/wiki/api/v2/spaces',
      { results: [{ id: '../../1&ids=2', key: '../x' }], _links: { next: link } },
      1
    )
    const { counts } = await runSync(fixture, 'confluence', user, '&mode=full')
    t.ok(
      counts.seen >= 1 && counts.seen + counts.skipped >= 2,
      `${String(next).slice(0, 60)}: the space and the page were read`
    )
    t.ok(fixture.listPaths().some((path) => path.includes('/wiki/api/v2/pages')))
    t.same(await findUnsafeUrls(fixture, 'confluence', user), [])
    t.same(
      (
        await fixture.query<{ url: string }>('select url from pages where deleted_at is null')
      ).filter(({ url }) => new URL(url).origin !== SITE_URL),
      [],
      'items stay on their site'
    )
    t.same(fixture.takeViolations(), [], String(next).slice(0, 60))
    await fixture.sandbox.admin('faults', undefined, 'DELETE')
  }

  const jira = await connectPerson(fixture, 'jira', 'two')
  await runSync(fixture, 'jira', jira)
  for (const [i, key] of [
    '../../admin',
    '//evil.example',
    'a"><script>',
    '@evil.example',
    'javascript:alert(1)'
  ].entries()) {
    const link = `${fixture.foreignUrl}/rest/api/3/project/search`
    await fakeResponse(
      fixture,
      '/project/search',
      {
        values: [{ id: `${900 + i}`, key, name: 'x', self: link }],
        nextPage: link,
        self: link,
        isLast: false,
        total: -1
      },
      1
    )
    t.ok((await runSync(fixture, 'jira', jira, '&mode=full')).counts.seen >= 1)
    t.ok(
      (await fixture.query<{ key: string }>('select key from projects')).some(
        (row) => row.key === key
      ),
      `${key} was read`
    )
    t.same(await findUnsafeUrls(fixture, 'jira', jira), [], key)
    t.same(
      (
        await fixture.query<{ url: string }>('select url from projects where deleted_at is null')
      ).filter(({ url }) => !new URL(url).href.startsWith(`${SITE_URL}/browse/`)),
      [],
      'items stay on their site'
    )
    t.same(fixture.takeViolations(), [], key)
  }
})
