import t from 'tap'
import {
  Browser,
  buildSandboxEnv,
  buildTestApp,
  OAUTH_CLIENTS,
  waitForRun,
  type TestApp
} from '../helper.ts'
import { startSandbox } from '../sandbox/helper.ts'
import { compareRequest, findOperation, HAS_DOCUMENTS } from './documents.ts'
import type { Exchange } from './documents.ts'
import { recordExchanges } from './recorder.ts'

async function sync({ app }: TestApp, product: string, mode: string) {
  const { id } = (
    await app.inject({ method: 'POST', url: `/integrations/${product}/sync?mode=${mode}` })
  ).json() as { id: number }
  return await waitForRun(app, product, id)
}

t.test(
  "the service's requests match Atlassian's OpenAPI documents",
  { skip: HAS_DOCUMENTS ? false : 'the folder ../shared/specs is absent' },
  async (t) => {
    let clock = Date.now()
    const exchanges: Exchange[] = []
    const sandbox = await startSandbox(
      t,
      { clients: OAUTH_CLIENTS, indexLagMs: 0, now: () => clock, sizes: { pages: 300 } },
      (server) => recordExchanges(server, exchanges)
    )
    const service = await buildTestApp(t, buildSandboxEnv(sandbox.url), () => clock)
    for (const product of ['jira', 'confluence']) {
      await new Browser(service.app).connect(product)
      await waitForRun(service.app, product)
    }
    // Changes, and deletions that two full listings have to confirm.
    await sandbox.admin('issues/PAY-1', { summary: 'changed' })
    await sandbox.admin('issues/PAY-2', { deleted: true })
    const pageId = (position: number) => sandbox.state.sites[0]?.pages.idAt(position)
    await sandbox.admin(`pages/${pageId(50)}`, { title: 'changed' })
    await sandbox.admin(`pages/${pageId(60)}/trash`)
    await sandbox.admin(`pages/${pageId(70)}/purge`)
    for (const mode of ['incremental', 'full', 'full']) {
      clock += 3_600_000
      for (const product of ['jira', 'confluence']) await sync(service, product, mode)
    }

    const differences = exchanges.flatMap((exchange) => {
      const operation = findOperation(exchange)
      const name = `${exchange.method} ${exchange.path}`
      if (operation === undefined) return [`${name}: no such operation`]
      return compareRequest(operation, exchange).map((difference) => `${name}: ${difference}`)
    })
    t.strictSame([...new Set(differences)], [])
    const operations = new Set(exchanges.map((exchange) => findOperation(exchange)?.path))
    t.comment(`${exchanges.length} requests of ${operations.size} operations were checked`)
    t.ok(exchanges.length > 20, `${exchanges.length} requests`)
    t.ok(operations.size >= 5, [...operations].join(', '))
  }
)

t.test(
  'an invalid request is noticed',
  { skip: HAS_DOCUMENTS ? false : 'the folder ../shared/specs is absent' },
  async (t) => {
    const check = (path: string, query: string, requestBody?: unknown, method = 'GET') => {
      const exchange = {
        product: path.startsWith('/wiki') ? 'confluence' : 'jira',
        method,
        path,
        query: new URLSearchParams(query),
        requestBody,
        status: 200,
        body: undefined
      }
      const operation = findOperation(exchange)
      return operation === undefined ? ['no operation'] : compareRequest(operation, exchange)
    }
    t.strictSame(check('/wiki/api/v2/pages', 'spaceId=1'), ['unknown parameter spaceId'])
    t.match(check('/wiki/api/v2/pages', 'limit=251'), [/^parameter limit: .*<= 250/])
    t.match(check('/wiki/api/v2/pages', 'sort=colour'), [/^parameter sort: /])
    t.strictSame(check('/wiki/rest/api/search', 'limit=10'), ['missing parameter cql'])
    t.match(check('/rest/api/3/search/jql', '', { jql: 'a = b', startAt: 0 }, 'POST'), [
      /^body: .*additional properties startAt/
    ])
    t.strictSame(check('/rest/api/3/search/all', ''), ['no operation'])
  }
)
