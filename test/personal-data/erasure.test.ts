import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SMALL, login, service } from '../auth/helper.ts'
import { contentsOf, databaseAt, rowsOf, tablesOf } from '../database.ts'
import { Browser, decide } from '../helper.ts'
import { folder } from '../process/child.ts'
import { withPeople } from './helper.ts'

/** What is in everything that is Ada's, and in everything that is Eve's. */
const [ADA, EVE] = ['ada-q1x', 'eve-z2y']
const site = (name: string, digit: string) => ({
  name: `site-of-${name}`,
  cloudId: `${digit.repeat(8)}-2222-4b4b-9a9a-${digit.repeat(12)}`
})
/** What they are called at Atlassian. Copies of others may name them too: as a lead, as an assignee. */
const PEOPLE: Record<string, string> = { [ADA]: 'Quilla Zwetschke', [EVE]: 'Ottmar Vreni' }
const SITES = { [ADA]: site(ADA, 'a'), [EVE]: site(EVE, 'e') }
const user = (name: string) => ({
  accountId: `712020:account-of-${name}`,
  name: PEOPLE[name],
  nickname: name,
  email: `atlassian-${name}@example.com`,
  timeZone: 'Etc/UTC',
  locale: 'en-US'
})
/** Columns of copies that hold names of people of the site, whoever has copied it. */
const NAMES = ['projects.lead', 'issues.assignee']
/** Columns of what is copied. */
const COPIED =
  /^(projects|issues|spaces|pages)\.(url|name|summary|title|lead|assignee|remote_id|page_id|body|body_text)$/

/** Two people who have left traces wherever the service lets them. */
async function settled(t: Test) {
  const url = await databaseAt(t, join(folder(t), 'erasure.db'))
  const running = await withPeople(t, {
    env: { INTEGRATION_DB_URL: url },
    sandbox: { ...SMALL, sites: Object.values(SITES), users: [user(ADA), user(EVE)] }
  })
  const { app, asAdmin, person, sandbox } = running
  const people = []
  for (const name of [ADA, EVE]) {
    for (const kind of ['projects', 'spaces']) {
      await sandbox.admin(kind, {
        site: `site-of-${name}`,
        key: `K${name.slice(0, 3)}`,
        name: `${kind} of ${name}`
      })
    }
    const { cloudId } = SITES[name] as { cloudId: string }
    const it = await person(name, name, {
      state: `state-of-${name}`,
      extra: `&sandbox_site=${cloudId}`
    })
    people.push(it)
    const start = async (state: string, headers = running.admin.headers) =>
      (
        await app.inject({ url: `/auth/jira/login?${new URLSearchParams({ state })}`, headers })
      ).json().url as string
    await start(`left-by-${name}`, it.headers)
    await start(`user_id=${it.id}&note=${name}`)
    await start(JSON.stringify({ email: `${name.toUpperCase()}@EXAMPLE.com`, note: 'x' }))
    await start(JSON.stringify({ user_id: it.id, email: null, note: name }))
    await start(`uid:${it.id}`)
    await new Browser(app).open(
      await decide(await start(`email=${name}%40example.com&note=declined`), 'cancel')
    )
    await new Browser(app).open(it.session.url)
    await asAdmin(`/users/${it.id}/export`)
    await asAdmin(`/users/${it.id}/connections/jira/check`, { method: 'POST' })
    await sandbox.admin('revoke', { account_id: name, client_id: 'confluence-app' })
    await asAdmin(`/users/${it.id}/connections/confluence/check`, { method: 'POST' })
  }
  const [ada, eve] = people as [(typeof people)[number], (typeof people)[number]]
  return { ...running, url, ada, eve, found: async (name: string) => await where(url, name) }
}

/** The columns that hold a word, in any case of letters, with how often. */
async function where(url: string, word: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const [table, rows] of await tablesOf(url)) {
    for (const [column, value] of rows.flatMap((row) => Object.entries(row))) {
      if (String(value).toLowerCase().includes(word)) {
        found[`${table}.${column}`] = (found[`${table}.${column}`] ?? 0) + 1
      }
    }
  }
  return found
}

t.test(
  'B13 Who is deleted is in no column of any row of any table, nor in the bytes of the file; whoever stays is where they were',
  async (t) => {
    const { url, ada, found, asAdmin } = await settled(t)
    const cloudId = SITES[ADA]?.cloudId ?? ''
    const before = { ada: await found(ADA), eve: await found(EVE) }
    t.ok(Object.keys(before.ada).length >= 15, Object.keys(before.ada).sort().join(' '))
    for (const column of [
      'users.email',
      'users.display_name',
      'identities.subject',
      'grants.account_id',
      'connections.sites',
      'connections.bound',
      'flows.caller_state',
      'sessions.return_url',
      'projects.name',
      'issues.url',
      'spaces.name',
      'pages.title'
    ]) {
      t.ok(column in before.ada, `what is looked for is found in ${column}`)
    }

    t.equal((await asAdmin(`/users/${ada.id}`, { method: 'DELETE' })).statusCode, 200)
    t.same(await found(ADA), {})
    t.same(await where(url, cloudId), {})
    const named = await where(url, PEOPLE[ADA]?.toLowerCase() ?? '')
    t.same(
      Object.keys(named).filter((column) => !NAMES.includes(column)),
      [],
      'her name at Atlassian is in copies of others only'
    )
    t.same(await found(EVE), before.eve)
    t.notOk((await contentsOf(url)).toLowerCase().includes(ADA), 'the bytes')
    t.ok((await contentsOf(url)).includes(EVE))
    t.match(
      (await asAdmin(`/audit?user_id=${ada.id}&action=user_removed`)).json(),
      [{ user_id: ada.id }],
      'that they were here is told by their number'
    )
  }
)

t.test('B13 Who is deleted and leaves the copies is in the copies only', async (t) => {
  const { ada, found, asAdmin, url } = await settled(t)
  const before = await found(EVE)
  t.equal((await asAdmin(`/users/${ada.id}?copies=keep`, { method: 'DELETE' })).statusCode, 200)
  const left = Object.keys(await found(ADA))
  t.ok(left.includes('projects.name') && left.includes('pages.title'))
  t.same(
    left.filter((column) => !COPIED.test(column)),
    []
  )
  for (const table of ['connections', 'identities', 'sessions', 'flows']) {
    t.equal(
      (await rowsOf(url, `select * from ${table} where user_id = ?`, ada.id)).length,
      0,
      table
    )
  }
  t.same(await found(EVE), before)
})

t.test(
  'B13 A login that nobody ends is forgotten, whether anybody starts another one or not',
  async (t) => {
    const url = await databaseAt(t, join(folder(t), 'logins.db'))
    const running = await service(t, { INTEGRATION_DB_URL: url })
    await login(running, 'jira', { state: 'left behind' })
    await running.app.upkeep.once()
    t.equal((await rowsOf(url, 'select * from flows')).length, 1)
    running.pass(2 * 3_600_000)
    await running.app.upkeep.once()
    t.equal((await rowsOf(url, 'select * from flows')).length, 0)
  }
)
