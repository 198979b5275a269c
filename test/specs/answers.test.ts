import t from 'tap'
import { createCallers, signIn, startSandbox } from '../sandbox/helper.ts'
import { compare, findAnswerSchema, findOperation, HAS_DOCUMENTS } from './documents.ts'
import type { Exchange } from './documents.ts'
import { recordExchanges } from './recorder.ts'

/**
 * Where live answers differ from Atlassian's documents, and the sandbox follows the live answers
 * (docs/reference/atlassian.md#81-project-search, #91-pages and #92-spaces).
 */
const ACCEPTED: Array<{ operation: RegExp; difference: RegExp }> = [
  {
    operation: /project/,
    difference: /projectTypeKey must be equal to one of the allowed values/
  },
  {
    operation: /project/,
    difference: /must NOT have additional properties (entityId|projectKeys)/
  },
  { operation: /serverInfo/, difference: /must NOT have additional properties defaultLocale/ },
  { operation: /\/(pages|databases|whiteboards)/, difference: /\/parentId must be string/ },
  { operation: /\/(pages|databases|whiteboards)/, difference: /\/parentType must be/ },
  { operation: /\/(pages|folders|databases|whiteboards)/, difference: /\/message must be string/ },
  { operation: /\/spaces/, difference: /\/currentActiveAlias must be string/ },
  { operation: /\/spaces/, difference: /\/(description|icon) must be object/ }
]

const SCOPES =
  'read:jira-work read:jira-user read:space:confluence read:page:confluence search:confluence ' +
  'read:confluence-user read:folder:confluence read:database:confluence ' +
  'read:whiteboard:confluence read:hierarchical-content:confluence'

const JQL = 'project is not EMPTY order by created asc'
const cql = (text: string, more = '') => `/rest/api/search?cql=${encodeURIComponent(text)}${more}`

/** Calls of every endpoint, in its variants. */
async function callEverything(t: Parameters<typeof startSandbox>[0]): Promise<Exchange[]> {
  const exchanges: Exchange[] = []
  const { url, admin } = await startSandbox(
    t,
    { indexLagMs: 0, sizes: { pages: 200, projects: 40 } },
    (app) => recordExchanges(app, exchanges)
  )
  const { access_token: token } = await signIn(url, { scope: SCOPES })
  const { jira, jiraPost, wiki } = createCallers(url, token)
  const setAnswers = async (rules: object) => await admin('sites/acme/answers', rules, 'PUT')

  const callJira = async () => {
    await jira('/project/search?maxResults=10')
    await jira('/project/search?maxResults=100&expand=lead,description,issueTypes,url,insight')
    await jira('/project/search?status=archived,deleted')
    await jira('/project/search?orderBy=colour')
    await jira('/project/10000?expand=projectKeys')
    await jira('/project/NOPE')
    await jira('/myself')
    await jira('/serverInfo')
    for (const fields of ['', '*all', 'summary,status']) {
      await jira(`/search/jql?jql=${encodeURIComponent(JQL)}&fields=${fields}`)
    }
    await jiraPost('/search/jql', { jql: JQL, maxResults: 100, fields: ['*all'] })
    await jiraPost('/search/jql', { jql: 'nonsense' })
    await jiraPost('/search/approximate-count', { jql: JQL })
    await jiraPost('/issue/bulkfetch', { issueIdsOrKeys: ['10000', '10003', 'NOPE-1'] })
    await jira('/issue/10000')
    await jira('/issue/NOPE-1')
  }
  const callConfluence = async () => {
    const statuses = 'status=current,archived,trashed'
    await wiki('/api/v2/pages?limit=5')
    await wiki(`/api/v2/pages?limit=250&body-format=storage&${statuses}`)
    await wiki('/api/v2/pages?limit=5&sort=-modified-date&body-format=atlas_doc_format')
    await wiki('/api/v2/pages?limit=0')
    const pages = (await wiki(`/api/v2/pages?limit=250&${statuses}`)).body.results
    const spaces = (await wiki('/api/v2/spaces?description-format=plain')).body.results
    await wiki('/api/v2/spaces?limit=1')
    await wiki(`/api/v2/spaces/${spaces[0].id}`)
    await wiki(`/api/v2/spaces/${spaces[0].id}/pages`)
    await wiki(`/api/v2/pages/${pages[0].id}?body-format=view`)
    await wiki('/api/v2/pages/999')
    await wiki(`/api/v2/pages/${pages[0].id}/children`)
    await wiki(`/api/v2/pages/${pages[0].id}/direct-children`)
    for (const page of pages.slice(0, 40)) await wiki(`/api/v2/pages/${page.id}`)
    for (const type of ['folder', 'database', 'whiteboard']) {
      const id = pages.find(
        ({ parentType }: { parentType: string }) => parentType === type
      ).parentId
      await wiki(`/api/v2/${type}s/${id}`)
      await wiki(`/api/v2/${type}s/${id}/direct-children`)
    }
    await wiki(cql('type = page order by lastmodified', '&limit=10&excerpt=none'))
    await wiki(cql('type = page and title ~ "plan"'))
    await wiki(cql('type = folder'))
    await wiki('/rest/api/user/current')
  }

  await callJira()
  await callConfluence()
  const [page] = (await wiki('/api/v2/pages?sort=-id')).body.results
  await admin(`pages/${page.id}/trash`)
  await admin('projects/10003', { archived: true })
  await setAnswers({
    issue_errors: ['10003'],
    search_warnings: true,
    live_docs: [(await wiki('/api/v2/pages?limit=1')).body.results[0].id]
  })
  await callJira()
  await callConfluence()
  await setAnswers({ empty_pages: { count: 'endless' } })
  await callJira()
  await callConfluence()
  return exchanges
}

t.test(
  "the sandbox's answers match Atlassian's OpenAPI documents",
  { skip: HAS_DOCUMENTS ? false : 'the folder ../shared/specs is absent' },
  async (t) => {
    const exchanges = await callEverything(t)
    const checked = new Map<string, number>()
    const differences = new Map<string, number>()
    const used = new Set<object>()
    for (const exchange of exchanges) {
      const operation = findOperation(exchange)
      if (operation === undefined) {
        differences.set(`no operation for ${exchange.method} ${exchange.path}`, 1)
        continue
      }
      const schema = findAnswerSchema(operation, exchange.status)
      if (schema === undefined) continue
      const name = `${operation.method} ${operation.path}`
      checked.set(name, (checked.get(name) ?? 0) + 1)
      for (const difference of compare(operation, schema, exchange.body)) {
        const accepted = ACCEPTED.find(
          (entry) => entry.operation.test(name) && entry.difference.test(difference)
        )
        if (accepted !== undefined) used.add(accepted)
        else {
          const text = `${name} ${exchange.status}: ${difference}`
          differences.set(text, (differences.get(text) ?? 0) + 1)
        }
      }
    }
    t.strictSame(Object.fromEntries(differences), {})
    t.equal(checked.size, 24, [...checked.keys()].join('\n'))
    t.strictSame(
      ACCEPTED.filter((entry) => !used.has(entry)),
      [],
      'every accepted difference occurs'
    )
    const total = [...checked.values()].reduce((sum, count) => sum + count, 0)
    t.comment(`${total} of ${exchanges.length} answers have a schema and were validated`)
    t.ok(total > 200, `${total} answers were validated`)
  }
)
