import { getTableColumns } from 'drizzle-orm'
import t from 'tap'
import { columns } from '../../drizzle/sqlite/columns.ts'
import { defineTables } from '../../drizzle/tables.ts'
import { itemTableShapes } from '../../src/providers/index.ts'
import { readDatabaseContents } from '../database.ts'
import type { JsonSchema } from '../openapi/dereference.ts'
import { formatOperation, listOperations, type ApiOperation } from './operations.ts'
import { startFuzzedService } from './service.ts'

/** One value of each JSON type. */
const VALUES_BY_TYPE: Record<string, unknown> = {
  string: 'text',
  integer: 7,
  number: 1.5,
  boolean: true,
  array: [['x']],
  object: { a: 1 },
  null: null
}
const COLUMN_NAMES = [
  ...new Set(
    defineTables(columns, itemTableShapes).all.flatMap((table) =>
      Object.entries(getTableColumns(table)).flatMap(([key, { name }]) => [key, name])
    )
  )
]

/** The fields of a route's body with the types that each accepts. */
function listFieldTypes({ body = {} }: ApiOperation): Map<string, Set<string>> {
  const object =
    (body.anyOf as JsonSchema[] | undefined)?.find(({ type }) => type === 'object') ?? body
  const types = (schema: JsonSchema): string[] =>
    schema.anyOf !== undefined
      ? (schema.anyOf as JsonSchema[]).flatMap(types)
      : schema.type === 'number'
        ? ['number', 'integer']
        : [schema.type as string]
  return new Map(
    Object.entries<JsonSchema>(object.properties ?? {}).map(([name, schema]) => [
      name,
      new Set(types(schema))
    ])
  )
}

t.test(
  `T11 T12 C3 Every body rejects ${COLUMN_NAMES.length} columns that are not its fields, and wrong types`,
  async (t) => {
    const { app, fillPlaceholders, database } = await startFuzzedService(t, 'public')
    // Connections and copies are not compared: the first sync is running and changes them.
    const users = async () => (await app.inject('/users')).body
    const before = await users()
    const wrong: string[] = []
    let count = 0
    const withBodies = (await listOperations(app)).filter(({ body }) => body !== undefined)
    for (const operation of withBodies) {
      const url = fillPlaceholders(operation.path.replace(/\{\w+\}/g, '{user}'))
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
            `${formatOperation(operation)} ${what}: ${answer.statusCode} ${answer.body.slice(0, 200)}`
          )
        }
      }
      const fields = listFieldTypes(operation)
      for (const column of COLUMN_NAMES.filter((column) => !fields.has(column))) {
        for (const value of ['planted-value', 1]) {
          await send({ [column]: value }, column, `with ${column}`)
        }
      }
      for (const [name, takes] of fields) {
        for (const [type, value] of Object.entries(VALUES_BY_TYPE)) {
          if (!takes.has(type) && !(type === 'integer' && takes.has('number'))) {
            await send({ [name]: value }, name, `with ${name} as ${type}`)
          }
        }
      }
    }
    t.same(wrong, [])
    t.ok(withBodies.length > 10, `${count} bodies to ${withBodies.length} routes`)
    t.equal(await users(), before, 'the users are unchanged')
    t.notOk(
      (await readDatabaseContents(database)).includes('planted-value'),
      'no value is stored anywhere'
    )
  }
)
