import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ensureDatabase, acquireWriteLock } from '../database.ts'
import { buildTestApp } from '../helper.ts'
import { createTempFolder } from '../process/child.ts'

const BATCH_SIZE = 100

/** Listening services on one database. */
async function startServices(t: Test, count: number) {
  const database = await ensureDatabase(t, join(createTempFolder(t), 'shared.db'))
  const apps = []
  for (let i = 0; i < count; i++) {
    const { app } = await buildTestApp(t, { INTEGRATION_DB_URL: database, LOG_LEVEL: 'ERROR' })
    apps.push({ app, url: await app.listen({ host: '127.0.0.1', port: 0 }) })
  }
  return { database, urls: apps.map(({ url }) => url) }
}

async function postJson(url: string, body: object): Promise<number> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  await answer.arrayBuffer()
  return answer.status
}

const countByStatus = (statuses: number[]) =>
  Object.fromEntries(
    [...new Set(statuses)]
      .sort()
      .map((status) => [status, statuses.filter((each) => each === status).length])
  )

for (const [processes, rounds] of [
  [1, 5],
  [3, 2]
] as const) {
  t.test(
    `D4 ${rounds} × ${BATCH_SIZE} concurrent upserts through ${processes} service(s): one row each, no 5xx`,
    async (t) => {
      const { urls } = await startServices(t, processes)
      const [first = ''] = urls
      const at = (i: number) => urls[i % urls.length] ?? first
      await postJson(`${first}/users`, { email: 'owner@example.com' })
      for (let round = 0; round < rounds; round++) {
        const all = <T>(make: (i: number) => Promise<T>) =>
          Promise.all(Array.from({ length: BATCH_SIZE }, (_, i) => make(i)))
        const [users, projects, pages] = await Promise.all([
          all((i) =>
            postJson(`${at(i)}/users`, {
              email: i % 2 === 0 ? `r${round}@example.com` : `R${round}@EXAMPLE.com`
            })
          ),
          all((i) =>
            postJson(`${at(i)}/jira/projects`, { owner_id: 1, key: `R${round}`, name: `Name ${i}` })
          ),
          all((i) =>
            postJson(`${at(i)}/confluence/pages`, {
              owner_id: 1,
              space_key: 'S',
              page_id: `${round}`,
              title: `Title ${i}`
            })
          )
        ])
        const once = { 200: BATCH_SIZE - 1, 201: 1 }
        t.same(
          [countByStatus(users), countByStatus(projects), countByStatus(pages)],
          [once, once, once],
          `round ${round + 1}`
        )
      }
      const lengths = await Promise.all(
        ['/users', '/jira/projects/1', '/confluence/pages/1'].map(
          async (path) => ((await (await fetch(first + path)).json()) as unknown[]).length
        )
      )
      t.same(lengths, [rounds + 1, rounds, rounds])
    }
  )
}

t.test(
  'D5 While another program holds the write lock for a second, reads continue and writes succeed later',
  async (t) => {
    const {
      database,
      urls: [url = '']
    } = await startServices(t, 1)
    await postJson(`${url}/users`, { email: 'owner@example.com' })
    const release = await acquireWriteLock(t, database)
    let released = false
    const writes = Promise.all(
      Array.from({ length: 20 }, async (_, i) => ({
        status: await postJson(`${url}/jira/projects`, { owner_id: 1, key: `K${i}`, name: 'N' }),
        released
      }))
    )
    const started = Date.now()
    let reads = 0
    while (Date.now() - started < 1_000) {
      const answer = await fetch(`${url}/users`)
      t.equal(answer.status, 200, 'a read during the lock')
      await answer.arrayBuffer()
      reads++
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    t.ok(reads > 0)
    released = true
    await release()
    t.ok(
      (await writes).every(({ status, released }) => status === 201 && released),
      'every write waited and succeeded'
    )
    t.equal(((await (await fetch(`${url}/jira/projects/1`)).json()) as unknown[]).length, 20)
  }
)

t.test(
  'D5 A lock that is never released returns 503 with Retry-After and does not hang',
  async (t) => {
    const {
      database,
      urls: [url = '']
    } = await startServices(t, 1)
    await postJson(`${url}/users`, { email: 'owner@example.com' })
    const release = await acquireWriteLock(t, database)
    const answer = await fetch(`${url}/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'late@example.com' })
    })
    t.equal(answer.status, 503)
    t.equal(answer.headers.get('retry-after'), '1')
    t.match(await answer.json(), { code: 'database_busy' })
    t.equal((await fetch(`${url}/users`)).status, 200)
    await release()
    t.equal(await postJson(`${url}/users`, { email: 'late@example.com' }), 201, 'recovered')
  }
)
