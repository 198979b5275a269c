import t from 'tap'
import { ACME } from '../sandbox/helper.ts'
import {
  SITE_URL,
  SITES_PATH,
  SCOPES,
  createNetworkFixture,
  fakeResponse,
  connectPerson,
  runSync,
  findUnsafeUrls
} from './outbound-helper.ts'

const HOSTILE_CLOUD_IDS: unknown[] = [
  '..',
  '../../admin',
  `${ACME}/../../admin`,
  `../${ACME}`,
  '..%2f..%2fadmin',
  '%2e%2e/%2e%2e/admin',
  `${ACME}%2f..%2f..`,
  `..\\..\\${ACME}`,
  `${ACME}?x=1`,
  `${ACME}#`,
  `${ACME};x`,
  `${ACME} `,
  ` ${ACME}`,
  `${ACME}\n`,
  `${ACME}\r\nHost: evil.example`,
  `${ACME}/rest/api/3/myself`,
  '//evil.example',
  '@evil.example',
  'evil.example',
  'http://169.254.169.254/latest',
  `{${ACME}}`,
  `urn:uuid:${ACME}`,
  ACME.replaceAll('-', ''),
  ACME.replace('8', '８'),
  ACME.replace('8', 'g'),
  `${ACME}${ACME}`,
  'a'.repeat(100_000),
  '',
  '.',
  '/',
  '\\',
  '*',
  1,
  0,
  -1,
  1e21,
  null,
  true,
  [ACME],
  { toString: ACME },
  `\0${ACME}`,
  `${ACME}\0/..`,
  `${ACME}\uD800`,
  ACME.toUpperCase()
]

t.test(`C13 T17 Requests none of ${HOSTILE_CLOUD_IDS.length} hostile cloud ids`, async (t) => {
  const fixture = await createNetworkFixture(t)
  for (const [i, id] of HOSTILE_CLOUD_IDS.entries()) {
    const product = i % 2 === 0 ? 'jira' : 'confluence'
    const name = `${JSON.stringify(id).slice(0, 60)}`
    await fakeResponse(fixture, SITES_PATH, [
      { id, name: 'hostile', url: SITE_URL, scopes: SCOPES[product] }
    ])
    const user = await connectPerson(fixture, product, `id${i}`)
    await runSync(fixture, product, user)
    const {
      connections: [connection]
    } = (await fixture.app.inject(`/users/${user}/connections`)).json() as {
      connections: Array<Record<string, any>>
    }
    const storedCloudIds = (connection?.sites as Array<{ cloud_id: string }>).map(
      ({ cloud_id: cloudId }) => cloudId
    )
    t.ok(
      storedCloudIds.every((cloudId) => cloudId.toLowerCase() === ACME),
      `${name}: ${storedCloudIds.length === 0 ? 'left out' : 'read as the site that it is'}`
    )
    if (typeof id === 'string') {
      const { statusCode } = await fixture.app.inject({
        method: 'PUT',
        url: `/users/${user}/connections/${product}/site`,
        payload: { cloud_id: id }
      })
      t.equal(
        statusCode,
        storedCloudIds.includes(id) ? 200 : id.length > 65_536 ? 413 : 422,
        `${name}: cannot be selected either`
      )
    }
    if (storedCloudIds.length === 0) {
      t.notOk(
        fixture.listPaths().some((path) => path.startsWith('/ex/')),
        `${name}: the gateway is not called`
      )
    }
    t.same(fixture.takeViolations(), [], name)
    await fixture.sandbox.admin('faults', undefined, 'DELETE')
  }
})

t.test(
  'C13 T17 A cloud id modified in the database is not requested, even with a valid signature',
  async (t) => {
    const fixture = await createNetworkFixture(t)
    const user = await connectPerson(fixture, 'jira', 'one')
    t.match(await runSync(fixture, 'jira', user), { state: 'succeeded' })
    fixture.takeViolations()
    for (const cloudId of HOSTILE_CLOUD_IDS.filter(
      (id): id is string =>
        typeof id === 'string' && !id.includes('\uD800') && id.toLowerCase() !== ACME
    )) {
      await fixture.query(
        "update connections set state = 'active', error_code = null, bound = ?",
        JSON.stringify([{ cloudId, name: 'x', url: SITE_URL }])
      )
      await fixture.signConnections()
      t.match(
        await runSync(fixture, 'jira', user),
        { state: 'failed' },
        JSON.stringify(cloudId).slice(0, 60)
      )
      t.notOk(
        fixture.listPaths().some((path) => path.startsWith('/ex/')),
        'the gateway is not called'
      )
      t.same(fixture.takeViolations(), [])
    }
  }
)

const HOSTILE_SITE_URLS: unknown[] = [
  'javascript:alert(1)',
  'JavaScript:alert(1)//https://acme.atlassian.net',
  'java\nscript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:x',
  'file:///etc/passwd',
  'ftp://acme.atlassian.net',
  'blob:https://acme.atlassian.net/x',
  'view-source:https://acme.atlassian.net',
  'about:blank',
  'ws://acme.atlassian.net',
  '//evil.example',
  '/relative',
  '',
  'https://',
  'https://[::1',
  'acme.atlassian.net',
  null,
  1,
  {},
  [SITE_URL],
  'http://169.254.169.254/latest/meta-data',
  'http://127.0.0.1:1/',
  'http://localhost/',
  'http://[::1]:1/',
  'http://2130706433/',
  'http://0x7f.1/',
  'https://evil.example',
  'https://acme.atlassian.net.evil.example/',
  'https://acme.atlassian.net@evil.example/',
  'https://user:secret@acme.atlassian.net',
  'https://acme.atlassian.net/?x=1#y',
  'https://acme.atlassian.net/"><script>',
  'https://acme.atlassian.net/\n\nx',
  'https:\\\\evil.example',
  ' https://acme.atlassian.net ',
  'HTTPS://ACME.ATLASSIAN.NET//'
]

t.test(`C13 T28 Opens none of ${HOSTILE_SITE_URLS.length} hostile site addresses`, async (t) => {
  const fixture = await createNetworkFixture(t)
  for (const [i, url] of [...HOSTILE_SITE_URLS, fixture.foreignUrl].entries()) {
    const product = i % 2 === 0 ? 'jira' : 'confluence'
    await fakeResponse(fixture, SITES_PATH, [
      { id: ACME, name: 'hostile', url, scopes: SCOPES[product] }
    ])
    const user = await connectPerson(fixture, product, `url${i}`)
    await runSync(fixture, product, user)
    await fixture.app.inject({
      method: 'POST',
      url: `/users/${user}/connections/${product}/check`
    })
    t.same(await findUnsafeUrls(fixture, product, user), [], String(url))
    t.same(fixture.takeViolations(), [], String(url))
    await fixture.sandbox.admin('faults', undefined, 'DELETE')
  }
})
