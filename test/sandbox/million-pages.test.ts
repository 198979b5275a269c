import t from 'tap'
import { ACME, createCallers, getWithToken, signIn, startSandbox } from './helper.ts'

const PAGE_COUNT = 1_000_000
const MEMORY_LIMIT_BYTES = 150 * 1024 * 1024

t.test('a million pages need constant memory at any position of the list', async (t) => {
  const { url, admin } = await startSandbox(t, {
    sizes: { pages: PAGE_COUNT, spaces: 50 },
    hourlyPoints: 1e9
  })
  const { access_token: token } = await signIn(url)
  const { wiki } = createCallers(url, token)
  const before = process.memoryUsage().rss
  const first = (await wiki('/api/v2/pages?limit=250')).body.results
  for (const at of [100_000, 500_000, 900_000, 999_000]) {
    const id = String(20_000_000 + at * 32)
    for (const [order, sign] of [
      ['id', ''],
      ['modified-date', '-'],
      ['modified-date', '']
    ]) {
      const row = await findPageNear(wiki, id)
      const value = order === 'id' ? Number(row.id) : Date.parse(row.version.createdAt)
      const cursor = Buffer.from(
        JSON.stringify({ id: row.id, contentOrder: `${sign}${order}`, contentOrderValue: value })
      ).toString('base64')
      const { status, body } = await wiki(
        `/api/v2/pages?limit=250&sort=${sign}${order}&cursor=${encodeURIComponent(cursor)}`
      )
      t.equal(status, 200)
      t.equal(body.results.length > 0, true)
      t.notOk(body.results.some(({ id }: { id: string }) => id === row.id))
    }
  }
  const [space] = (await wiki('/api/v2/spaces?limit=1')).body.results
  let next = `/wiki/api/v2/spaces/${space.id}/pages?limit=250`
  for (let page = 0; page < 8; page++) {
    next = (await getWithToken(`${url}/ex/confluence/${ACME}${next}`, token)).body._links.next
  }
  t.ok(next)
  await admin(`pages/${first[3].id}`, { title: 'Changed among a million' })
  t.equal(
    (await wiki('/api/v2/pages?limit=1&sort=-modified-date')).body.results[0].title,
    'Changed among a million'
  )
  t.ok(process.memoryUsage().rss - before < MEMORY_LIMIT_BYTES)
})

/** A page whose id starts with this block of 32. */
async function findPageNear(wiki: (path: string) => Promise<{ body: any }>, id: string) {
  const block = Array.from({ length: 32 }, (_, offset) => String(Number(id) + offset)).join()
  return (await wiki(`/api/v2/pages?id=${block}`)).body.results[0]
}
