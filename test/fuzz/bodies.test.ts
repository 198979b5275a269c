import { getTableColumns } from 'drizzle-orm'
import t from 'tap'
import * as tables from '../../drizzle/sqlite/schema.ts'
import { contentsOf } from '../database.ts'
import { nameOf, operations, type Operation, type Schema } from './operations.ts'
import { fuzzed } from './service.ts'

/** One of each JSON type. */
const OF_EACH_TYPE: Record<string, unknown> = {
  string: 'text',
  integer: 7,
  number: 1.5,
  boolean: true,
  array: [['x']],
  object: { a: 1 },
  null: null
}
const COLUMNS = [
  ...new Set(
    Object.values(tables).flatMap((table) =>
      Object.entries(getTableColumns(table)).flatMap(([key, { name }]) => [key, name])
    )
  )
]

/** The fields of a route's body, and the types each takes. */
function fieldsOf({ body = {} }: Operation): Map<string, Set<string>> {
  const object = (body.anyOf as Schema[] | undefined)?.find(({ type }) => type === 'object') ?? body
  const types = (schema: Schema): string[] =>
    schema.anyOf !== undefined
      ? (schema.anyOf as Schema[]).flatMap(types)
      : schema.type === 'number'
        ? ['number', 'integer']
        : [schema.type as string]
  return new Map(
    Object.entries<Schema>(object.properties ?? {}).map(([name, schema]) => [
      name,
      new Set(types(schema))
    ])
  )
}

t.test(
  `T11 T12 C3 Every body of the OpenAPI document refuses ${COLUMNS.length} names of columns that are none of its fields, and every other JSON type in each field; nothing is stored`,
  async (t) => {
    const { app, filled, database } = await fuzzed(t, 'public')
    // Connections and copies move by themselves meanwhile: the first run is under way.
    const users = async () => (await app.inject('/users')).body
    const before = await users()
    const wrong: string[] = []
    let count = 0
    const withBodies = (await operations(app)).filter(({ body }) => body !== undefined)
    for (const operation of withBodies) {
      const url = filled(operation.path.replace(/\{\w+\}/g, '{user}'))
      const send = async (payload: object, name: string, what: string) => {
        const answer = await app.inject({ method: operation.method as 'POST', url, payload })
        count++
        const { code, errors = [] } = answer.json() as {
          code?: string
          errors?: Array<{ pointer: string }>
        }
        if (
          answer.statusCode !== 422 ||
          code !== 'validation_failed' ||
          !errors.some(({ pointer }) => pointer === `/${name}` || pointer.startsWith(`/${name}/`))
        ) {
          wrong.push(
            `${nameOf(operation)} ${what}: ${answer.statusCode} ${answer.body.slice(0, 200)}`
          )
        }
      }
      const fields = fieldsOf(operation)
      for (const column of COLUMNS.filter((column) => !fields.has(column))) {
        for (const value of ['planted-value', 1]) {
          await send({ [column]: value }, column, `with ${column}`)
        }
      }
      for (const [name, takes] of fields) {
        for (const [type, value] of Object.entries(OF_EACH_TYPE)) {
          if (!takes.has(type) && !(type === 'integer' && takes.has('number'))) {
            await send({ [name]: value }, name, `with ${name} as ${type}`)
          }
        }
      }
    }
    t.same(wrong, [])
    t.ok(withBodies.length > 10, `${count} bodies to ${withBodies.length} routes`)
    t.equal(await users(), before, 'the users are as they were')
    t.notOk((await contentsOf(database)).includes('planted-value'), 'and nothing of it is anywhere')
  }
)
