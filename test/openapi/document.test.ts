import { statSync } from 'node:fs'
import t from 'tap'
import { buildTestApp } from '../helper.ts'
import type { JsonSchema } from './dereference.ts'

const MAX_DOCUMENT_BYTES = 260_000

interface ListedOperation extends JsonSchema {
  name: string
}

async function listDocumentOperations(
  t: Parameters<typeof buildTestApp>[0],
  url = '/openapi.json'
): Promise<{ document: JsonSchema; operations: ListedOperation[] }> {
  const { app } = await buildTestApp(t)
  const document = (await app.inject(url)).json() as JsonSchema
  const operations = Object.entries<JsonSchema>(document.paths).flatMap(([path, methods]) =>
    Object.entries<JsonSchema>(methods).map(([method, operation]) => ({
      ...operation,
      name: `${method} ${path}`
    }))
  )
  return { document, operations }
}

t.test('Every operation has a unique camelCase id', async (t) => {
  const { operations } = await listDocumentOperations(t)
  const ids = operations.map(({ operationId }) => operationId as string)
  for (const id of ids) t.match(id, /^[a-z]+([A-Z][A-Za-z]+)+$/)
  t.equal(new Set(ids).size, ids.length)
})

t.test('Every JSON object in a request or a response has a name', async (t) => {
  const { document, operations } = await listDocumentOperations(t)
  for (const { name, requestBody, responses } of operations) {
    const schemas = [requestBody, ...Object.values<JsonSchema>(responses)].flatMap((part) =>
      Object.values<JsonSchema>(part?.content ?? {}).map(({ schema }) => schema as JsonSchema)
    )
    t.notOk(schemas.some(hasInlineObject), `${name} has only named objects`)
  }
  for (const [name, schema] of Object.entries<JsonSchema>(document.components.schemas)) {
    t.notOk(
      Object.values<JsonSchema>(schema.properties ?? {}).some(hasInlineObject),
      `${name} has only named objects`
    )
  }
})

function hasInlineObject(schema: JsonSchema): boolean {
  return (
    schema.type === 'object' ||
    [...(schema.anyOf ?? []), ...(schema.items === undefined ? [] : [schema.items])].some(
      hasInlineObject
    )
  )
}

t.test('Ids are integers, and a parameter with a default is optional', async (t) => {
  const { operations } = await listDocumentOperations(t)
  const parameters = operations.flatMap((operation) => (operation.parameters ?? []) as JsonSchema[])
  const ids = parameters.filter(({ name }) => /^(user_id|owner_id|id)$/.test(name as string))
  t.ok(ids.length > 20)
  for (const { name, schema } of ids) t.match(schema, { type: 'integer', minimum: 1 }, name)
  const withDefault = parameters.filter(({ schema }) => schema.default !== undefined)
  t.ok(withDefault.length > 5)
  for (const { name, required } of withDefault) t.equal(required, false, name)
})

t.test('No query parameter or header has an example that Swagger UI would fill in', async (t) => {
  const { operations } = await listDocumentOperations(t)
  for (const { name, parameters = [] } of operations) {
    for (const parameter of parameters as JsonSchema[]) {
      if (parameter.in === 'path') continue
      t.notHas(parameter, { example: String }, `${name} ${parameter.name}`)
      t.notHas(parameter.schema, { example: String }, `${name} ${parameter.name}`)
    }
  }
})

t.test('Responses declare the headers that callers read', async (t) => {
  const { document, operations } = await listDocumentOperations(t)
  const headersOf = (id: string, status: string) => {
    const operation = operations.find(({ operationId }) => operationId === id)
    return Object.keys(operation?.responses[status].headers as object)
  }
  t.same(headersOf('listUsers', '200'), ['X-Request-ID', 'Link'])
  t.same(headersOf('listJiraProjects', '200'), [
    'X-Request-ID',
    'Link',
    'ETag',
    'X-Sync-State',
    'X-As-Of',
    'X-Total-Count'
  ])
  t.same(headersOf('listJiraProjects', '304'), ['X-Request-ID', 'ETag', 'X-Sync-State', 'X-As-Of'])
  t.same(headersOf('startJiraSync', '202'), ['X-Request-ID', 'Location'])
  t.same(headersOf('startJiraLogin', '307'), ['X-Request-ID', 'Location'])
  const { TooManyRequests, ServiceUnavailable, NotFound } = document.components.responses
  t.hasProps(TooManyRequests.headers, ['X-Request-ID', 'Retry-After', 'RateLimit-Reset'])
  t.hasProps(ServiceUnavailable.headers, ['X-Request-ID', 'Retry-After'])
  t.same(Object.keys(NotFound.headers as object), ['X-Request-ID'])
})

t.test('`servers` has the prefix under which the document is served', async (t) => {
  for (const [url, server] of [
    ['/openapi.json', '/'],
    ['/api/openapi.json', '/api'],
    ['/docs/json', '/'],
    ['/api/docs/json', '/api']
  ] as const) {
    const { document } = await listDocumentOperations(t, url)
    t.same(document.servers, [{ url: server }], url)
    t.ok(document.paths['/users'], 'paths have no prefix')
  }
})

t.test('The committed document is small', (t) => {
  t.ok(statSync(new URL('../../openapi.json', import.meta.url)).size <= MAX_DOCUMENT_BYTES)
  t.end()
})
