import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SMALL_SANDBOX, requestLogin, startTestService } from '../auth/helper.ts'
import { readDatabaseContents, ensureDatabase, queryDatabase, readAllTables } from '../database.ts'
import { Browser, answerConsentPage } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'
import { startServiceWithPeople } from './helper.ts'

/** Marker words in all data of Ada, and in all data of Eve. */
const [ADA, EVE] = ['ada-q1x', 'eve-z2y'] as const
const createSite = (name: string, digit: string) => ({
  name: `site-of-${name}`,
  cloudId: `${digit.repeat(8)}-2222-4b4b-9a9a-${digit.repeat(12)}`
})
/** Their names at Atlassian. Copies of other users may contain them: as a lead or an assignee. */
const DISPLAY_NAMES = { [ADA]: 'Quilla Zwetschke', [EVE]: 'Ottmar Vreni' }
const SITES = { [ADA]: createSite(ADA, 'a'), [EVE]: createSite(EVE, 'e') }
const createUser = (name: keyof typeof DISPLAY_NAMES) => ({
  accountId: `712020:account-of-${name}`,
  name: DISPLAY_NAMES[name],
  nickname: name,
  email: `atlassian-${name}@example.com`,
  timeZone: 'Etc/UTC',
  locale: 'en-US'
})
/** Columns of copies that contain names of other people on the site. */
const NAME_COLUMNS = ['projects.lead', 'issues.assignee']
/** Columns of copied items. */
const COPY_COLUMNS =
  /^(projects|issues|spaces|pages)\.(url|name|summary|title|lead|assignee|remote_id|page_id|body|body_text)$/

/** Two users with data in every place where the service stores it. */
async function createTwoPeople(t: Test) {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'erasure.db'))
  const running = await startServiceWithPeople(t, {
    env: { INTEGRATION_DB_URL: url },
    sandbox: {
      ...SMALL_SANDBOX,
      sites: Object.values(SITES),
      users: [createUser(ADA), createUser(EVE)]
    }
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
      await answerConsentPage(await start(`email=${name}%40example.com&note=declined`), 'cancel')
    )
    await new Browser(app).submit(it.session.url, { product: 'jira' })
    await asAdmin(`/users/${it.id}/export`)
    await asAdmin(`/users/${it.id}/connections/jira/check`, { method: 'POST' })
    await sandbox.admin('revoke', { account_id: name, client_id: 'confluence-app' })
    await asAdmin(`/users/${it.id}/connections/confluence/check`, { method: 'POST' })
  }
  const [ada, eve] = people as [(typeof people)[number], (typeof people)[number]]
  return {
    ...running,
    url,
    ada,
    eve,
    findTraces: async (name: string) => await findInColumns(url, name)
  }
}

/** The columns that contain a word, case-insensitive, with the number of rows. */
async function findInColumns(url: string, word: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const [table, rows] of await readAllTables(url)) {
    for (const [column, value] of rows.flatMap((row) => Object.entries(row))) {
      if (String(value).toLowerCase().includes(word)) {
        counts[`${table}.${column}`] = (counts[`${table}.${column}`] ?? 0) + 1
      }
    }
  }
  return counts
}

t.test(
  'B13 A deleted user is in no column, row or byte of the database; other users keep their data',
  async (t) => {
    const { url, ada, findTraces, asAdmin } = await createTwoPeople(t)
    const cloudId = SITES[ADA]?.cloudId ?? ''
    const before = { ada: await findTraces(ADA), eve: await findTraces(EVE) }
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
      t.ok(column in before.ada, `the search finds the word in ${column}`)
    }

    t.equal((await asAdmin(`/users/${ada.id}`, { method: 'DELETE' })).statusCode, 200)
    t.same(await findTraces(ADA), {})
    t.same(await findInColumns(url, cloudId), {})
    const named = await findInColumns(url, DISPLAY_NAMES[ADA]?.toLowerCase() ?? '')
    t.same(
      Object.keys(named).filter((column) => !NAME_COLUMNS.includes(column)),
      [],
      'only copies of other users contain her name at Atlassian'
    )
    t.same(await findTraces(EVE), before.eve)
    t.notOk((await readDatabaseContents(url)).toLowerCase().includes(ADA), 'the bytes')
    t.ok((await readDatabaseContents(url)).includes(EVE))
    t.match(
      (await asAdmin(`/audit?user_id=${ada.id}&action=user_removed`)).json(),
      [{ user_id: ada.id }],
      'the audit trail refers to them by id'
    )
  }
)

t.test('B13 A deleted user whose copies are kept remains in the copies only', async (t) => {
  const { ada, findTraces, asAdmin, url } = await createTwoPeople(t)
  const before = await findTraces(EVE)
  t.equal((await asAdmin(`/users/${ada.id}?copies=keep`, { method: 'DELETE' })).statusCode, 200)
  const remainingColumns = Object.keys(await findTraces(ADA))
  t.ok(remainingColumns.includes('projects.name') && remainingColumns.includes('pages.title'))
  t.same(
    remainingColumns.filter((column) => !COPY_COLUMNS.test(column)),
    []
  )
  for (const table of ['connections', 'identities', 'sessions', 'flows']) {
    t.equal(
      (await queryDatabase(url, `select * from ${table} where user_id = ?`, ada.id)).length,
      0,
      table
    )
  }
  t.same(await findTraces(EVE), before)
})

t.test('B13 Deletes abandoned logins, even if no other login starts', async (t) => {
  const url = await ensureDatabase(t, join(createTempFolder(t), 'logins.db'))
  const running = await startTestService(t, { INTEGRATION_DB_URL: url })
  await requestLogin(running, 'jira', { state: 'left behind' })
  await running.app.maintenance.runNow()
  t.equal((await queryDatabase(url, 'select * from flows')).length, 1)
  running.advanceTime(2 * 3_600_000)
  await running.app.maintenance.runNow()
  t.equal((await queryDatabase(url, 'select * from flows')).length, 0)
})
