import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { resolveNextPage } from '../network.ts'
import { followPages } from './helper.ts'
import { storeLongPages } from './list-filler.ts'

const MIB = 1024 * 1024
/** A page ends after about this many bytes. */
const MAX_BYTES = 4 * MIB

t.test('T32 A list with bodies ends after 4 MiB, with a link to the rest', async (t) => {
  const { app } = await buildTestApp(t)
  await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
  const sizes = [1.5, 1.5, 0.001, 6, 1, 1.5, 1.5, 0.001].map((mib) => Math.round(mib * MIB))
  await storeLongPages(app, sizes)
  const pages: string[][] = []
  const read = async (url: string) => {
    const response = await app.inject(url)
    t.equal(response.statusCode, 200)
    const items = response.json() as Array<{ page_id: string; body: { storage: string } }>
    t.ok(items.length === 1 || response.body.length < MAX_BYTES * 1.05, `${response.body.length}`)
    for (const { page_id: id, body } of items) t.equal(body.storage.length, sizes[Number(id)])
    pages.push(items.map(({ page_id: id }) => id))
    return response
  }
  for (let url: string | undefined = '/confluence/pages/1?include=body'; url !== undefined;) {
    const { headers } = await read(url)
    t.equal(headers['x-total-count'], String(sizes.length))
    url = resolveNextPage(url, headers.link)
  }
  t.same(pages, [['0', '1', '2'], ['3'], ['4', '5'], ['6', '7']], 'at least one item, each once')
  const head = await app.inject({ method: 'HEAD', url: '/confluence/pages/1?include=body' })
  t.match(head.headers.link, /rel="next"/)
  t.equal(head.body, '')
  const limited = await followPages(app, '/confluence/pages/1?include=body&limit=2')
  t.equal(limited.pages.flat().length, sizes.length)
  t.equal(limited.pages[0]?.length, 2, 'a limit ends a page earlier')
})

t.test('T32 A page of the change feed ends after 4 MiB, and says that there is more', async (t) => {
  const { app } = await buildTestApp(t)
  await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
  await storeLongPages(app, Array<number>(900).fill(1), 8_000)
  const ids: string[] = []
  for (let since = '', more = true; more;) {
    const response = await app.inject(`/users/1/changes?limit=1000${since}`)
    const answer = response.json()
    t.ok(response.body.length < MAX_BYTES * 1.05, `${response.body.length} bytes`)
    ids.push(...answer.changes.map(({ remote_id: id }: { remote_id: string }) => id))
    since = `&since=${answer.next as string}`
    more = answer.more
  }
  t.equal(new Set(ids).size, 900)
  t.equal(ids.length, 900, 'each once')
})

t.test('T32 An export contains long bodies in full', async (t) => {
  const { app } = await buildTestApp(t)
  await app.inject({ method: 'POST', url: '/users', payload: { email: 'ada@example.com' } })
  const sizes = [3 * MIB, 9, 999_999, 3 * MIB, 6 * MIB]
  await storeLongPages(app, sizes, 10, '\u{1F600}a')
  const { pages } = (await app.inject('/users/1/export')).json()
  t.same(
    pages.map(({ body }: { body: { storage: string } }) => body.storage.length),
    sizes
  )
  t.ok(
    pages.every(({ body }: any) => !body.storage.includes('\uFFFD')),
    'no character is cut'
  )
})
