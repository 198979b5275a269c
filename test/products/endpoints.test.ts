import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { evaluateFeatures } from '../../src/connections/features.ts'
import { selectScopes } from '../../src/oauth/authorize-url.ts'
import { requireEndpoint, type Endpoint } from '../../src/providers/endpoint.ts'
import { confluence } from '../../src/providers/confluence/confluence.ts'
import { jira } from '../../src/providers/jira/jira.ts'

/** Atlassian's OpenAPI documents lie beside the repository, where they are installed. */
const FOLDER = join(import.meta.dirname, '../../../shared/specs')
const skip = existsSync(FOLDER) ? false : `${FOLDER} does not exist`

type ScopeSets = Array<{ state: 'Current' | 'Beta'; scopes: string[] }>

/** The scope sets of an endpoint in Atlassian's documents. Paths of v2 begin below its base. */
function readDocumentedScopes({ method, path }: Endpoint): ScopeSets | undefined {
  const [document, documentPath] = path.startsWith('/rest/')
    ? ['jira-v3', path]
    : path.startsWith('/wiki/api/v2')
      ? ['confluence-v2', path.slice('/wiki/api/v2'.length)]
      : ['confluence-v1', path]
  const { paths } = JSON.parse(readFileSync(join(FOLDER, `${document}.json`), 'utf8'))
  return paths[documentPath]?.[method.toLowerCase()]?.['x-atlassian-oauth2-scopes']
}

for (const provider of [jira, confluence]) {
  t.test(
    `The scopes of ${provider.title} endpoints are those that Atlassian documents`,
    { skip },
    async (t) => {
      for (const endpoint of provider.endpoints) {
        const documented = readDocumentedScopes(endpoint)
        const declared = [endpoint.classic, endpoint.granular].filter((scopes) => scopes !== null)
        t.same(
          declared.map((scopes) => [...scopes].sort()),
          documented?.map(({ scopes }) => [...scopes].sort()),
          `${endpoint.method} ${endpoint.path}`
        )
      }
    }
  )

  t.test(`Every ${provider.title} feature uses endpoints that the product declares`, async (t) => {
    const endpoints = provider.features
      .filter(({ name }) => name !== 'identity')
      .flatMap((feature) => [...feature.endpoints])
    t.ok(endpoints.length > 0)
    for (const endpoint of endpoints) t.ok(provider.endpoints.includes(endpoint), endpoint.path)
  })
}

t.test('A call to an endpoint without declared scopes is a fault of the program', async (t) => {
  const find = (method: 'GET' | 'POST', path: string) =>
    requireEndpoint(jira.endpoints, method, path)
  t.equal(find('GET', '/rest/api/3/project/search').path, '/rest/api/3/project/search')
  t.equal(find('GET', '/rest/api/3/project/10001').path, '/rest/api/3/project/{projectIdOrKey}')
  t.throws(() => find('GET', '/rest/api/3/search/jql'), /declares no endpoint GET/)
  t.throws(() => find('GET', '/rest/api/3/issue/1/comment'), /declares no endpoint GET/)
})

const granularOf = (name: string) =>
  jira.features
    .find((feature) => feature.name === name)
    ?.endpoints.flatMap((e) => e.granular ?? []) ?? []
const evaluate = (scopes: string[], requested: string[] = []) =>
  Object.fromEntries(
    evaluateFeatures(jira, scopes, { refusedFeatures: [] }, requested).map((each) => [
      each.feature.name,
      each
    ])
  )

t.test('Granular scopes are needed for each call that is made', async (t) => {
  const searchByGet = ['issue-details', 'audit-log', 'avatar', 'field-configuration', 'issue-meta']
  const { issues } = evaluate(searchByGet.map((name) => `read:${name}:jira`))
  t.notOk(issues?.isEnabled, 'the set of GET search/jql is not enough')
  t.ok(issues?.missingScopes.includes('read:field.option:jira'), 'POST search/jql needs it')
  t.ok(issues?.missingScopes.includes('read:issue.vote:jira'), 'bulkfetch needs it')
  t.ok(evaluate(granularOf('issues')).issues?.isEnabled)
  t.ok(evaluate(['read:jira-work']).issues?.isEnabled)
})

t.test('Missing scopes are named in the family that the app uses', async (t) => {
  t.same(evaluate([]).projects?.missingScopes, ['read:jira-work'])
  t.same(evaluate(['read:jira-user']).projects?.missingScopes, ['read:jira-work'])
  t.notOk(evaluate(granularOf('projects')).issues?.missingScopes.includes('read:jira-work'))
  t.notOk(evaluate([], granularOf('projects')).issues?.missingScopes.includes('read:jira-work'))
})

t.test('A login always asks for the account and a refresh token, once', async (t) => {
  for (const [requested, selected] of [
    ['offline_access read:jira-work read:jira-user', 'read:jira-work read:jira-user'],
    ['read:jira-work,read:jira-work read:me', 'read:jira-work'],
    ['read', 'read:jira-work read:jira-user'],
    ['offline_access', 'read:jira-work read:jira-user'],
    ['read:me offline_access', 'read:jira-work read:jira-user'],
    ['', 'read:jira-work read:jira-user'],
    [undefined, 'read:jira-work read:jira-user']
  ] as const) {
    t.equal(
      selectScopes(jira.scopes, requested, []).join(' '),
      `${selected} read:me offline_access`,
      String(requested)
    )
  }
  t.same(selectScopes(['read:jira-work'], 'read:jira-work', ['search:confluence', 'read:me']), [
    'read:jira-work',
    'search:confluence',
    'read:me',
    'offline_access'
  ])
})
