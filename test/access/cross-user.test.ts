import t, { type Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { pickByScale, SMALL_SANDBOX } from '../auth/helper.ts'
import { Browser, buildAppWithSandbox, answerConsentPage, PRODUCTS } from '../helper.ts'
import { buildBearerHeader, createApiKey, PROTECTED_ENV, startIdentityProvider } from './helper.ts'
import { buildRouteRequest, listRouteEntries } from './table.ts'

const UNKNOWN_USER_ID = 987_654_321

/**
 * Two people of one service, each with both products connected and copied, and with items posted
 * by hand.
 */
async function createTwoPeople(t: Test) {
  const idp = await startIdentityProvider(t)
  const { app } = await buildAppWithSandbox(t, {
    env: { ...PROTECTED_ENV, ...idp.env },
    sandbox: SMALL_SANDBOX
  })
  const connectPerson = async (sub: string) => {
    const headers = buildBearerHeader(await idp.sign({ sub }))
    const runs: Record<string, number> = {}
    let id = 0
    for (const product of PRODUCTS) {
      const { url } = (await app.inject({ url: `/auth/${product}/login`, headers })).json()
      const browser = new Browser(app)
      const {
        headers: { location = '' }
      } = await browser.open(await answerConsentPage(await browser.continueLogin(url as string)))
      id = Number(new URL(location as string).searchParams.get('user_id'))
      runs[product] = await waitForRunEnd(product, headers)
    }
    t.equal(
      (
        await app.inject({
          method: 'POST',
          url: '/jira/projects',
          headers,
          payload: { owner_id: id, key: 'HAND', name: `Of ${sub}` }
        })
      ).statusCode,
      201
    )
    return { id, headers, runs }
  }
  const waitForRunEnd = async (product: string, headers: Record<string, string>) => {
    while (true) {
      const [run] = (
        await app.inject({ url: `/integrations/${product}/sync/runs`, headers })
      ).json()
      if (['succeeded', 'partial', 'failed'].includes(run?.state as string)) return run.id as number
      await sleep(20)
    }
  }
  return { app, ada: await connectPerson('ada'), eve: await connectPerson('eve') }
}

t.test(
  "C7 T23 Every route with an id answers another user's id like an unknown id, and changes nothing",
  { timeout: 120_000 },
  async (t) => {
    const { app, ada, eve } = await createTwoPeople(t)
    const admin = await createApiKey(app, ['admin'])
    const own = async () =>
      await Promise.all(
        [
          `/users/${ada.id}`,
          `/users/${ada.id}/connections`,
          `/jira/projects/${ada.id}`,
          ...PRODUCTS.map((product) => `/integrations/${product}/sync/runs`)
        ].map(async (url) => (await app.inject({ url, headers: ada.headers })).json())
      )
    const before = await own()
    const rows = listRouteEntries(app).filter(
      ({ rule, url }) =>
        typeof rule === 'object' &&
        (url.includes(':id') || (rule.owner !== undefined && rule.owner !== 'caller'))
    )
    t.ok(rows.length >= 80, `${rows.length} routes take an id`)
    t.ok(
      rows.some(({ url }) => url.endsWith('/export')),
      'the export is one of them'
    )
    for (const row of rows) {
      const product = row.url.includes('confluence') ? 'confluence' : 'jira'
      const ask = async (
        owner: number,
        run: number,
        { headers }: { headers: Record<string, string> }
      ) => {
        const {
          statusCode,
          body,
          headers: { 'x-request-id': id, date: _date, ...rest }
        } = await app.inject({ ...buildRouteRequest(row, owner, run), headers })
        return {
          statusCode,
          body: body.replace(String(id), ''),
          headers: { ...rest, 'content-length': '' }
        }
      }
      const name = `${row.method} ${row.url}`
      const foreign = await ask(ada.id, ada.runs[product] ?? 0, eve)
      t.equal(foreign.statusCode, 404, name)
      t.same(
        foreign,
        await ask(UNKNOWN_USER_ID, UNKNOWN_USER_ID, eve),
        `${name}: like an unknown id`
      )
      t.same(
        foreign,
        await ask(UNKNOWN_USER_ID, UNKNOWN_USER_ID, admin),
        `${name}: like a caller with full access`
      )
    }
    t.same(await own(), before)
  }
)

t.test('C7 Response time does not reveal whether a user exists', async (t) => {
  const { app, ada, eve } = await createTwoPeople(t)
  const took: Record<number, number[]> = { [ada.id]: [], [UNKNOWN_USER_ID]: [] }
  for (let i = 0; i < pickByScale(300, 1_000); i++) {
    for (const id of [ada.id, UNKNOWN_USER_ID]) {
      const begin = performance.now()
      await app.inject({ url: `/users/${id}/connections`, headers: eve.headers })
      took[id]?.push(performance.now() - begin)
    }
  }
  const [foreign = 0, nobody = 0] = [ada.id, UNKNOWN_USER_ID].map(
    (id) => took[id]?.sort((a, b) => a - b)[Math.floor((took[id]?.length ?? 0) / 2)]
  )
  t.comment(`medians: ${foreign.toFixed(3)} ms and ${nobody.toFixed(3)} ms`)
  t.ok(Math.abs(foreign - nobody) < 5)
})
