import type { FastifyInstance } from 'fastify'

export type Schema = Record<string, any>

/** One method of one path, as the OpenAPI document has it. */
export interface Operation {
  method: string
  path: string
  parameters: Array<{
    name: string
    in: 'path' | 'query' | 'header'
    required: boolean
    schema: Schema
  }>
  /** Of the JSON body; undefined where the route takes none. */
  body: Schema | undefined
  /** By status, by content type; null where the answer has no body. */
  answers: Map<number, Record<string, Schema> | null>
}

/** Everything that the service says it answers. */
export async function operations(app: FastifyInstance): Promise<Operation[]> {
  await app.ready()
  const { paths } = JSON.parse(JSON.stringify(app.swagger())) as {
    paths: Record<string, Record<string, Schema>>
  }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, route]) => ({
      method: method.toUpperCase(),
      path,
      parameters: route.parameters ?? [],
      body: route.requestBody?.content['application/json']?.schema,
      answers: new Map(
        Object.entries<Schema>(route.responses).map(([status, { content }]) => [
          Number(status),
          content === undefined
            ? null
            : Object.fromEntries(
                Object.entries<Schema>(content).map(([type, { schema }]) => [type, schema ?? {}])
              )
        ])
      )
    }))
  )
}

/** `GET /users/{user_id}` */
export function nameOf({ method, path }: Operation): string {
  return `${method} ${path}`
}
