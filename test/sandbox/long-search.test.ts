import t from 'tap'
import type { TestContext } from '../types.ts'
import { startSignedIn } from './helper.ts'

async function start(t: TestContext, options: Parameters<typeof startSignedIn>[1] = {}) {
  const sandbox = await startSignedIn(t, {
    sizes: { projects: 4, issues: 500 },
    hourlyPoints: 1e9,
    ...options
  })
  /** All pages of one chain. */
  const collectPages = async (jql: string, more = {}) => {
    const pages: any[] = []
    for (let nextPageToken: string | undefined, isLast = false; !isLast;) {
      const { status, body } = await sandbox.jiraPost('/search/jql', {
        jql,
        nextPageToken,
        ...more
      })
      if (status !== 200 || (body.nextPageToken === undefined) !== body.isLast) {
        throw new Error(`${status} ${JSON.stringify(body)}`)
      }
      pages.push(body.issues)
      nextPageToken = body.nextPageToken
      isLast = body.isLast
    }
    return pages
  }
  return { ...sandbox, collectPages }
}

t.test(
  'a chain of pages ends silently at the maximum length, and a later start continues',
  async (t) => {
    const { collectPages } = await start(t, { maxSearchResults: 120 })
    const pages = await collectPages('project is not EMPTY order by updated', {
      maxResults: 50,
      fields: ['updated']
    })
    t.strictSame(
      pages.map(({ length }) => length),
      [50, 50, 20]
    )
    const seen = new Set(pages.flat().map(({ id }) => id))
    let last = pages.flat().at(-1)
    for (let turn = 0; turn < 10; turn++) {
      const from = new Date(Date.parse(last.fields.updated) - 86_400_000).toISOString().slice(0, 10)
      const more = (
        await collectPages(`project is not EMPTY and updated >= "${from}" order by updated`, {
          maxResults: 50,
          fields: ['updated']
        })
      ).flat()
      for (const { id } of more) seen.add(id)
      last = more.at(-1)
    }
    t.equal(seen.size, 500)
  }
)

t.test('a chain within the maximum is complete, and a single page can reach it too', async (t) => {
  const { collectPages } = await start(t, { maxSearchResults: 125 })
  t.strictSame(
    (await collectPages('project = PAY', { maxResults: 60 })).map(({ length }) => length),
    [60, 60, 5]
  )
  t.strictSame(
    (await collectPages('project is not EMPTY', { maxResults: 5000 })).map(({ length }) => length),
    [125]
  )
})

t.test('the default maximum is 126,000', async (t) => {
  const { collectPages } = await start(t, { sizes: { projects: 1, issues: 126_001 } })
  t.equal((await collectPages('project = PAY', { maxResults: 5000 })).flat().length, 126_000)
})

t.test('bounds on updated limit a list in both directions', async (t) => {
  const { collectPages } = await start(t)
  const all = (
    await collectPages('project is not EMPTY order by updated', {
      maxResults: 100,
      fields: ['updated']
    })
  ).flat()
  const bounds = 'updated >= "2023-03-01" and updated < "2024-07-01"'
  const zone = (time: string) =>
    Date.parse(time) + 2 * 3_600_000 + (/-0[4-9]|-10/.test(time.slice(4, 7)) ? 3_600_000 : 0)
  const within = all
    .filter(
      ({ fields }) =>
        zone(fields.updated) >= Date.UTC(2023, 2, 1) && zone(fields.updated) < Date.UTC(2024, 6, 1)
    )
    .map(({ id }) => id)
  t.ok(within.length > 100)
  t.strictSame(
    (
      await collectPages(`project is not EMPTY and ${bounds} order by updated asc`, {
        maxResults: 40
      })
    )
      .flat()
      .map(({ id }) => id),
    within
  )
  t.strictSame(
    (
      await collectPages(`project is not EMPTY and ${bounds} order by updated desc`, {
        maxResults: 40
      })
    )
      .flat()
      .map(({ id }) => id),
    [...within].reverse()
  )
  const own = (
    await collectPages(`project = PAY and ${bounds} order by updated`, { maxResults: 40 })
  )
    .flat()
    .map(({ id }) => id)
  t.ok(own.length > 20 && own.every((id) => within.includes(id)))
  t.equal(
    (await collectPages(`project = PAY and ${bounds}`, { maxResults: 40 })).flat().length,
    own.length
  )
})
