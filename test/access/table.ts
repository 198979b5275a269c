import type { FastifyInstance, InjectOptions } from 'fastify'
import type { Rule } from '../../src/access/rules.ts'

type Schema = Record<string, any>

/** A route as it is registered, and what the description says of it; undefined where it is hidden. */
export interface Row {
  method: string
  url: string
  rule: Rule | undefined
  operation: Schema | undefined
}

/** Every registered route beside its description. */
export function tableOf(app: FastifyInstance): Row[] {
  const { paths } = app.swagger() as { paths: Schema }
  const described = (url: string) =>
    paths[url.replace(/^\/api(?=\/)/, '').replace(/:(\w+)/g, '{$1}')] as Schema | undefined
  return app.accessTable().map((row) => ({
    ...row,
    operation: described(row.url)?.[row.method === 'HEAD' ? 'get' : row.method.toLowerCase()] as
      Schema | undefined
  }))
}

/** A request that fits the description of its route, about this owner and this run. */
export function requestTo(
  { method, url, rule, operation }: Row,
  owner: number,
  run = 1
): InjectOptions {
  const path = url
    .replace(':user_id', String(owner))
    .replace(':owner_id', String(owner))
    .replace(':id', String(run))
    .replace('*', 'x')
  const place = typeof rule === 'object' ? rule.owner : undefined
  const schema = operation?.requestBody?.content['application/json'].schema as Schema | undefined
  const payload = schema === undefined ? undefined : example(schema)
  return {
    method: method as 'GET',
    url: place === 'query.owner_id' ? `${path}?owner_id=${owner}` : path,
    ...(payload === undefined || payload === null
      ? {}
      : { payload: place === 'body.owner_id' ? { ...payload, owner_id: owner } : payload })
  }
}

/** The smallest value that fits a schema; null for one that may be left out. */
function example(schema: Schema): any {
  if (schema.anyOf?.some(({ type }: Schema) => type === 'null') === true) return null
  if (schema.anyOf !== undefined) return example(schema.anyOf[0] as Schema)
  const given = schema.examples?.[0] ?? schema.example ?? schema.const ?? schema.enum?.[0]
  if (given !== undefined) return given
  if (schema.type === 'array') return [example(schema.items as Schema)]
  if (schema.type !== 'object') return schema.type === 'boolean' ? true : 'x'
  const needed =
    schema.required ??
    Object.keys(schema.properties as Schema).slice(
      0,
      (schema.minProperties as number | undefined) ?? 0
    )
  return Object.fromEntries(
    (needed as string[]).map((name) => [name, example(schema.properties[name] as Schema)])
  )
}
