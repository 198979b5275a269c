import type { FastifyInstance } from 'fastify'
import { dereference, type JsonSchema } from '../openapi/dereference.ts'

/** One operation of the OpenAPI document. */
export interface ApiOperation {
  method: string
  path: string
  parameters: Array<{
    name: string
    in: 'path' | 'query' | 'header'
    required: boolean
    schema: JsonSchema
  }>
  /** Schema of the JSON body; undefined if the route accepts none. */
  body: JsonSchema | undefined
  /** By status, then by content type; null if the response has no body. */
  responses: Map<number, Record<string, JsonSchema> | null>
}

/** All operations of the OpenAPI document. */
export async function listOperations(app: FastifyInstance): Promise<ApiOperation[]> {
  await app.ready()
  const { paths } = dereference(app.swagger()) as unknown as {
    paths: Record<string, Record<string, JsonSchema>>
  }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, route]) => ({
      method: method.toUpperCase(),
      path,
      parameters: ((route.parameters ?? []) as JsonSchema[]).map(toParameter),
      body: route.requestBody?.content['application/json']?.schema,
      responses: new Map(
        Object.entries<JsonSchema>(route.responses).map(([status, { content }]) => [
          Number(status),
          content === undefined
            ? null
            : Object.fromEntries(
                Object.entries<JsonSchema>(content).map(([type, { schema }]) => [
                  type,
                  schema ?? {}
                ])
              )
        ])
      )
    }))
  )
}

/**
 * Examples of query parameters and headers are in their descriptions, because Swagger UI
 * prefills them otherwise.
 */
function toParameter(parameter: JsonSchema): ApiOperation['parameters'][number] {
  const example = /Example: `(.+)`$/.exec(parameter.description ?? '')?.[1]
  const schema = example === undefined ? parameter.schema : { ...parameter.schema, example }
  return { ...parameter, schema } as ApiOperation['parameters'][number]
}

/** Formats an operation as `GET /users/{user_id}`. */
export function formatOperation({ method, path }: ApiOperation): string {
  return `${method} ${path}`
}
