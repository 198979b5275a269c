import { readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import openapiTS, { astToString } from 'openapi-typescript'
import t from 'tap'
import ts from 'typescript'
import { buildTestApp } from '../helper.ts'

const OPENAPI_URL = new URL('../../openapi.json', import.meta.url)

/** A client program of the API: ten operations, no cast. */
const PROGRAM = `
import createClient from 'openapi-fetch'
import type { components, paths } from './api.ts'

export async function run(baseUrl: string) {
  const client = createClient<paths>({ baseUrl })
  const { data: readiness } = await client.GET('/healthz')
  const status: 'ok' | 'unavailable' | undefined = readiness?.status

  const created = await client.POST('/users', { body: { email: 'ada@example.com' } })
  const user: components['schemas']['User'] | undefined = created.data
  if (user === undefined) throw new Error('no user')
  const { data: users = [] } = await client.GET('/users', { params: { query: { limit: 10 } } })
  const byId = await client.GET('/users/{user_id}', { params: { path: { user_id: user.id } } })

  const saved = await client.POST('/jira/projects', {
    body: { owner_id: user.id, key: 'PAY', name: 'Payments' }
  })
  const listed = await client.GET('/jira/projects/{owner_id}', {
    params: { path: { owner_id: user.id } }
  })
  const keys: string[] = (listed.data ?? []).map(({ key }) => key)
  const fetched = await client.GET('/integrations/jira/projects/fetch', {
    params: { query: { owner_id: user.id, q: 'pay' } }
  })
  const { data: changes } = await client.GET('/users/{user_id}/changes', {
    params: { path: { user_id: user.id } }
  })
  const connections = await client.GET('/users/{user_id}/connections', {
    params: { path: { user_id: user.id } }
  })
  const removed = await client.DELETE('/users/{user_id}', {
    params: { path: { user_id: user.id }, query: { copies: 'erase' } }
  })
  const missing = await client.GET('/users/{user_id}', { params: { path: { user_id: user.id } } })
  return {
    status,
    email: byId.data?.email,
    users: users.length,
    saved: saved.data?.name ?? null,
    keys,
    fetched: fetched.data?.items.length,
    operations: changes?.changes.map(({ op }) => op),
    next: changes?.next.length,
    connections: connections.data?.connections.length,
    copies: removed.data?.copies,
    error: missing.error?.code
  }
}
`

const MISTAKES = [
  "await client.GET('/users/{user_id}', { params: { path: { user_id: 'one' } } })",
  "await client.POST('/users', { body: { mail: 'ada@example.com' } })",
  "await client.GET('/user')",
  "void (await client.GET('/users')).data?.[0]?.name"
]

t.test(
  'A typed client made from openapi.json compiles without a cast and works',
  { timeout: 120_000 },
  async (t) => {
    const directory = t.testdir({
      'program.ts': PROGRAM,
      ...Object.fromEntries(
        MISTAKES.map((statement, index) => [
          `mistake-${index}.ts`,
          `import createClient from 'openapi-fetch'
import type { paths } from './api.ts'
const client = createClient<paths>({ baseUrl: '' })
${statement}
`
        ])
      )
    })
    const types = astToString(await openapiTS(JSON.parse(readFileSync(OPENAPI_URL, 'utf8'))))
    writeFileSync(join(directory, 'api.ts'), types)

    const names = ['program.ts', ...MISTAKES.map((_, index) => `mistake-${index}.ts`)]
    const errors = typeCheck(names.map((name) => join(directory, name)))
    t.same(errors[0], [], 'the program compiles')
    MISTAKES.forEach((statement, index) => {
      t.equal(errors[index + 1]?.length, 1, `does not compile: ${statement}`)
    })

    const { app } = await buildTestApp(t)
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { run } = (await import(pathToFileURL(join(directory, 'program.ts')).href)) as {
      run: (baseUrl: string) => Promise<{ next: number }>
    }
    const { next, ...result } = await run(
      `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/api`
    )
    t.ok(next > 0, 'the change feed returns a cursor')
    t.same(result, {
      status: 'ok',
      email: 'ada@example.com',
      users: 1,
      saved: 'Payments',
      keys: ['PAY'],
      fetched: 1,
      operations: ['upsert'],
      connections: 0,
      copies: 'erased',
      error: 'user_not_found'
    })
  }
)

/** The compiler's messages, by file. */
function typeCheck(files: string[]): string[][] {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.esnext.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    noEmit: true
  })
  return files.map((file) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(file))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  )
}
