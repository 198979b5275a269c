import type { FastifyInstance, InjectOptions } from 'fastify'
import type { AccessRule } from '../../src/access/rules.ts'
import { dereference, type JsonSchema } from '../openapi/dereference.ts'

/** A registered route and its OpenAPI operation; undefined if the route is hidden. */
export interface RouteEntry {
  method: string
  url: string
  rule: AccessRule | undefined
  operation: JsonSchema | undefined
}

/** Every registered route with its OpenAPI operation. */
export function listRouteEntries(app: FastifyInstance): RouteEntry[] {
  const { paths } = dereference(app.swagger()) as { paths: JsonSchema }
  const findOperation = (url: string) =>
    paths[url.replace(/^\/api(?=\/)/, '').replace(/:(\w+)/g, '{$1}')] as JsonSchema | undefined
  return app.listRouteAccess().map((row) => ({
    ...row,
    operation: findOperation(row.url)?.[
      row.method === 'HEAD' ? 'get' : row.method.toLowerCase()
    ] as JsonSchema | undefined
  }))
}

/** A valid request to a route, for this owner and this run. */
export function buildRouteRequest(
  { method, url, rule, operation }: RouteEntry,
  owner: number,
  run = 1
): InjectOptions {
  const path = url
    .replace(':user_id', String(owner))
    .replace(':owner_id', String(owner))
    .replace(':id', String(run))
    .replace('*', 'x')
  const ownerSource = typeof rule === 'object' ? rule.owner : undefined
  const schema = operation?.requestBody?.content['application/json'].schema as
    JsonSchema | undefined
  const payload = schema === undefined ? undefined : buildExample(schema)
  return {
    method: method as 'GET',
    url: ownerSource === 'query.owner_id' ? `${path}?owner_id=${owner}` : path,
    ...(payload === undefined || payload === null
      ? {}
      : { payload: ownerSource === 'body.owner_id' ? { ...payload, owner_id: owner } : payload })
  }
}

/** The smallest value that a schema accepts; null if it is nullable. */
function buildExample(schema: JsonSchema): any {
  if (schema.anyOf?.some(({ type }: JsonSchema) => type === 'null') === true) return null
  if (schema.anyOf !== undefined) return buildExample(schema.anyOf[0] as JsonSchema)
  const sample = schema.examples?.[0] ?? schema.example ?? schema.const ?? schema.enum?.[0]
  if (sample !== undefined) return sample
  if (schema.type === 'array') return [buildExample(schema.items as JsonSchema)]
  if (schema.type !== 'object') return schema.type === 'boolean' ? true : 'x'
  const requiredNames =
    schema.required ??
    Object.keys(schema.properties as JsonSchema).slice(
      0,
      (schema.minProperties as number | undefined) ?? 0
    )
  return Object.fromEntries(
    (requiredNames as string[]).map((name) => [
      name,
      buildExample(schema.properties[name] as JsonSchema)
    ])
  )
}
