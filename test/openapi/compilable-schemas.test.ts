import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import { Ajv } from 'ajv'
import t from 'tap'
import { buildTestApp } from '../helper.ts'
import { dereference, type JsonSchema } from './dereference.ts'

/** The service compiles a schema on its first use, so a start does not prove that it compiles. */
t.test('Every schema of a request and of a response compiles', async (t) => {
  const { app } = await buildTestApp(t)
  await app.ready()
  const { paths } = dereference(app.swagger()) as { paths: JsonSchema }
  const ajv = new Ajv({ validateFormats: false, keywords: ['example'] })
  const compileSerializer = SerializerSelector()({}, {})

  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods as JsonSchema).map(([method, operation]) => ({
      name: `${method} ${path}`,
      operation: operation as JsonSchema
    }))
  )
  t.ok(operations.length > 40)
  for (const { name, operation } of operations) {
    const inputs = [operation.requestBody, ...(operation.parameters ?? [])]
    for (const schema of inputs.flatMap(listSchemas)) {
      t.doesNotThrow(() => ajv.compile(schema), `${name}: request`)
    }
    for (const [status, response] of Object.entries(operation.responses as JsonSchema)) {
      for (const schema of listSchemas(response as JsonSchema)) {
        t.doesNotThrow(
          () => compileSerializer({ schema, method: '', url: '', httpStatus: status }),
          `${name}: ${status}`
        )
      }
    }
  }
})

/** The schemas of a body (one per media type) or of a parameter. */
function listSchemas(part: JsonSchema | undefined): JsonSchema[] {
  if (part === undefined) return []
  return [part, ...Object.values((part.content ?? {}) as JsonSchema)].flatMap(
    ({ schema }: JsonSchema) => (schema === undefined ? [] : [schema as JsonSchema])
  )
}
