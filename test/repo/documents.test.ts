import t from 'tap'
import { listAliases } from '../../src/config/aliases.ts'
import { createEnvSchema, listSettings } from '../../src/config/schema.ts'
import { builtInProviders } from '../../src/providers/index.ts'
import { buildTestApp } from '../helper.ts'
import { dereference, type JsonSchema } from '../openapi/dereference.ts'
import { readText } from './helper.ts'

const envSchema = createEnvSchema(builtInProviders)

t.test('.env.example lists every setting of the schema, in its order, and nothing else', (t) => {
  const assigned = [...readText('.env.example').matchAll(/^(?:# )?([A-Z][A-Z0-9_]*)=/gm)].map(
    ([, name]) => name
  )
  t.same(assigned, listSettings(envSchema))
  t.end()
})

t.test('.env.example is a valid configuration, and its values are the defaults', (t) => {
  const active = Object.fromEntries(
    [...readText('.env.example').matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
      ([, name = '', value]) => [name, value]
    )
  )
  for (const [name, value] of Object.entries(active)) {
    const property = envSchema.properties[name] as JsonSchema
    t.equal(value, String(property.default), `${name} is the default`)
  }
  t.end()
})

t.test('.env.example lists the aliases of settings', (t) => {
  const example = readText('.env.example')
  for (const [setting, names] of listAliases(builtInProviders)) {
    // The per-client settings are listed in docs/settings.md.
    if (/_OAUTH_/.test(setting)) continue
    for (const name of names) t.ok(example.includes(name), `${setting}: ${name}`)
  }
  t.end()
})

t.test('openapi.json on disk equals the generated document and the served one', async (t) => {
  const { app } = await buildTestApp(t)
  await app.ready()
  t.same(
    JSON.parse(readText('openapi.json')),
    JSON.parse(JSON.stringify(app.swagger())),
    'npm run openapi makes it again'
  )
  t.same((await app.inject('/openapi.json')).json(), JSON.parse(readText('openapi.json')))
})

/** Their 503 is the same report as their 200. */
const READINESS_PATHS = ['/readyz', '/healthz']

t.test(
  'Every route documents its summary, tags and responses; each 2xx response has examples',
  async (t) => {
    const { app } = await buildTestApp(t)
    await app.ready()
    const { paths, openapi } = dereference(app.swagger()) as JsonSchema
    t.equal(openapi, '3.1.0')
    for (const [path, methods] of Object.entries<JsonSchema>(paths)) {
      t.notMatch(path, /^\/api(\/|$)/, 'each path once')
      t.notMatch(path, /.\/$/, 'no trailing slash')
      for (const [method, route] of Object.entries<JsonSchema>(methods)) {
        const name = `${method} ${path}`
        t.match(route.summary, /^[A-Z].{8,}/, `${name}: summary`)
        t.equal(route.tags?.length, 1, `${name}: one tag`)
        const statuses = Object.keys(route.responses)
        t.ok(
          statuses.some((status) => /^[23]/.test(status)),
          `${name}: a success response`
        )
        if (!/^\/(livez|readyz|healthz|health\/oauth)?$/.test(path)) {
          t.ok(statuses.includes('500') && statuses.includes('503'), `${name}: 500 and 503`)
        }
        if (path.includes('{') || route.parameters?.length > 0 || method === 'post') {
          t.ok(statuses.includes('422'), `${name}: 422`)
        }
        if (method === 'post' && route.requestBody !== undefined) {
          t.ok(
            ['400', '413', '415'].every((status) => statuses.includes(status)),
            `${name}: 400, 413, 415`
          )
        }
        for (const [status, answer] of Object.entries<JsonSchema>(route.responses)) {
          t.ok(answer.description, `${name} ${status}: description`)
          if (/^[45]/.test(status) && !READINESS_PATHS.includes(path)) {
            t.ok(
              answer.content?.['application/problem+json'],
              `${name} ${status}: problem document`
            )
          }
          if (!/^2/.test(status)) continue
          for (const location of listMissingExamples(
            answer.content?.['application/json']?.schema ?? {},
            ''
          )) {
            t.fail(`${name} ${status}${location}: no example`)
          }
        }
        for (const parameter of route.parameters ?? []) {
          t.ok(parameter.schema, `${name}: ${parameter.name}`)
        }
      }
    }
  }
)

/** String properties without an example; numbers, booleans and enums need none. */
function listMissingExamples(schema: JsonSchema, path: string): string[] {
  if (schema.type === 'object') {
    return Object.entries<JsonSchema>(schema.properties ?? {}).flatMap(([name, property]) =>
      listMissingExamples(property, `${path}/${name}`)
    )
  }
  if (schema.type === 'array') return listMissingExamples(schema.items, `${path}/0`)
  if (schema.anyOf !== undefined) {
    return schema.anyOf.flatMap((each: JsonSchema) => listMissingExamples(each, path))
  }
  const hasExample =
    schema.type !== 'string' ||
    schema.const !== undefined ||
    schema.enum !== undefined ||
    schema.example !== undefined ||
    schema.examples !== undefined
  return hasExample ? [] : [path]
}

t.test('Every route is in the document or hidden on purpose', async (t) => {
  const { app } = await buildTestApp(t, { APP_ENV: 'production', API_DOCS: 'open' })
  await app.ready()
  const documented = new Set(Object.keys((app.swagger() as JsonSchema).paths))
  const HIDDEN = /^\/(openapi\.json|docs|oauth\/(jira|confluence|callback))/
  // The printed tree splits paths, so this asks the router instead.
  for (const path of [
    '/users',
    '/users/{user_id}',
    '/jira/projects',
    '/jira/projects/{owner_id}',
    '/confluence/pages',
    '/confluence/pages/{owner_id}',
    '/jira/issues/{owner_id}',
    '/confluence/spaces/{owner_id}',
    '/users/{user_id}/changes',
    '/integrations/jira/connect',
    '/integrations/confluence/connect',
    '/integrations/jira/projects/fetch',
    '/integrations/confluence/pages/fetch',
    '/integrations/jira/issues/fetch',
    '/integrations/confluence/spaces/fetch',
    '/integrations/jira/sync',
    '/integrations/confluence/sync/runs/{id}',
    '/integrations/confluence/sync/runs/{id}/events',
    '/auth/jira/login',
    '/auth/jira/callback',
    '/auth/confluence/login',
    '/auth/confluence/callback',
    '/oauth/atlassian/callback',
    '/',
    '/livez',
    '/readyz',
    '/healthz',
    '/health/oauth'
  ]) {
    t.ok(documented.has(path), path)
  }
  for (const path of documented) t.notMatch(path, HIDDEN)
  t.equal((await app.inject('/docs')).statusCode < 400, true, '/docs is there')
})
