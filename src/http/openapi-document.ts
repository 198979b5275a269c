import { STATUS_CODES } from './status-codes.ts'
import { SYNC_STATES } from '../model/states.ts'
import { AS_OF_DESCRIPTION, SYNC_STATE_DESCRIPTION, TOTAL_DESCRIPTION } from './schemas.ts'

type Json = { [key: string]: JsonValue }
type JsonValue = Json | JsonValue[] | string | number | boolean | null | undefined

interface Parameter extends Json {
  in: string
  required?: boolean
  description?: string
  schema: Json
}

interface Operation extends Json {
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Record<string, { schema?: Json }> }
  responses: Record<string, Json>
}

/** The parts of an OpenAPI 3.1 document that this file changes. */
export interface OpenApiDocument {
  components?: object
  paths?: object
}

const HEADERS: Record<string, Json> = {
  'X-Request-ID': header('Id of the request; every log line of it carries the id', 'string'),
  Link: header(
    'The next page, `rel="next"` (RFC 8288), as a reference relative to the URL of the request; ' +
      'absent on the last page',
    'string'
  ),
  ETag: header('Version of the list; send it back as If-None-Match', 'string'),
  'X-Sync-State': {
    description: SYNC_STATE_DESCRIPTION,
    schema: { type: 'string', enum: [...SYNC_STATES] }
  },
  'X-As-Of': header(`${AS_OF_DESCRIPTION}; the header is absent then`, 'string'),
  'X-Total-Count': header(TOTAL_DESCRIPTION, 'integer'),
  Location: header('URL to follow; may be relative to the URL of the request', 'string'),
  'Retry-After': header('Seconds to wait before the next attempt', 'integer'),
  'RateLimit-Limit': header('Requests allowed per minute', 'integer'),
  'RateLimit-Remaining': header('Requests left in the current minute', 'integer'),
  'RateLimit-Reset': header('Seconds until the limit resets', 'integer')
}
const RATE_LIMIT_HEADERS = ['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset']
const PROBLEM_TYPE = 'application/problem+json'
/** A browser that opens a page in the middle of a login gets errors as pages. */
const PAGE_TYPE = 'text/html'
/** Keys whose values are data, not schemas. */
const DATA_KEYS = new Set(['example', 'examples', 'default', 'enum', 'const'])

/**
 * Turns the document that @fastify/swagger writes into one for code generators: schemas with a
 * `title` and problem responses move to `components`, responses declare their headers, parameters
 * say truthfully whether they are required.
 *
 * Schemas get their names here and not by `$id`, because validators and serializers then need no
 * reference resolution: `fast-json-stringify` would parse every shared schema again for each
 * response.
 *
 * @throws Error if two different schemas have the same title
 */
export function finishDocument<Document extends OpenApiDocument>(document: Document): Document {
  const schemas: Record<string, Json> = {}
  const responses: Record<string, Json> = {}
  const paths = hoistSchemas(document.paths as unknown as JsonValue, schemas) as unknown as Record<
    string,
    Record<string, Operation>
  >
  for (const operation of Object.values(paths).flatMap((path) => Object.values(path))) {
    operation.parameters?.forEach(finishParameter)
    if (operation.requestBody !== undefined) markOptionalBody(operation.requestBody)
    finishResponses(operation, responses)
  }
  return {
    ...document,
    paths,
    components: {
      ...document.components,
      schemas: sortKeys(schemas),
      responses: sortKeys(responses),
      headers: HEADERS
    }
  }
}

/**
 * Moves every schema that has a title to `schemas` and leaves a reference; a list of constants
 * becomes an enum.
 */
function hoistSchemas(value: JsonValue, schemas: Record<string, Json>): JsonValue {
  if (Array.isArray(value)) return value.map((each) => hoistSchemas(each, schemas))
  if (typeof value !== 'object' || value === null) return value
  const { title, ...schema } = toEnum(
    Object.fromEntries(
      Object.entries(value).map(([key, child]) => [
        key,
        DATA_KEYS.has(key) ? child : hoistSchemas(child, schemas)
      ])
    )
  )
  if (typeof title !== 'string') return title === undefined ? schema : { title, ...schema }
  const existing = schemas[title]
  if (existing !== undefined && JSON.stringify(existing) !== JSON.stringify(schema)) {
    throw new Error(`Two different schemas have the title ${title}.`)
  }
  schemas[title] = schema
  return { $ref: `#/components/schemas/${title}` }
}

/** `anyOf` of string constants, as TypeBox writes unions of literals. */
function toEnum(schema: Json): Json {
  const { anyOf, ...others } = schema
  if (!Array.isArray(anyOf)) return schema
  const constants = anyOf.map((each) => (each as Json | null)?.const)
  return constants.every((constant) => typeof constant === 'string')
    ? { type: 'string', enum: constants, ...others }
    : schema
}

/**
 * A parameter with a default may be left out. Examples of query parameters and headers move into
 * the description: Swagger UI fills them in, and an unintended filter empties the
 * response.
 */
function finishParameter(parameter: Parameter): void {
  const { example, ...schema } = parameter.schema
  if (schema.default !== undefined) parameter.required = false
  if (parameter.in === 'path' || example === undefined) return
  parameter.schema = schema
  parameter.description = `${parameter.description ?? ''} Example: \`${String(example)}\``.trim()
}

/** A body that may be null may be left out. */
function markOptionalBody(body: NonNullable<Operation['requestBody']>): void {
  const anyOf = body.content['application/json']?.schema?.anyOf
  if (Array.isArray(anyOf) && anyOf.some((each) => (each as Json).type === 'null')) {
    body.required = false
  }
}

function finishResponses(operation: Operation, components: Record<string, Json>): void {
  const isPaged = operation.parameters?.some(({ name }) => name === 'cursor') === true
  // Only lists of items are conditional.
  const isConditional = '304' in operation.responses
  for (const [status, response] of Object.entries(operation.responses)) {
    const types = Object.keys((response.content ?? {}) as Json)
    const isProblem = types.includes(PROBLEM_TYPE)
    const isPageToo = types.includes(PAGE_TYPE)
    // The text that @fastify/swagger writes where a schema has no description.
    if (response.description === 'Default Response') response.description = STATUS_CODES[status]
    response.headers = refer('headers', [
      'X-Request-ID',
      ...(isPaged && status === '200' ? ['Link'] : []),
      ...(isConditional && /^[23]/.test(status) ? ['ETag', 'X-Sync-State', 'X-As-Of'] : []),
      ...(isConditional && status === '200' ? ['X-Total-Count'] : []),
      ...(/^(202|30[1-8])$/.test(status) && status !== '304' ? ['Location'] : []),
      ...(isProblem && (status === '429' || status === '503') ? ['Retry-After'] : []),
      ...(status === '429' ? RATE_LIMIT_HEADERS : [])
    ])
    if (isProblem) {
      const name = (STATUS_CODES[status] ?? status).replace(/\W/g, '') + (isPageToo ? 'OrPage' : '')
      components[name] ??= response
      operation.responses[status] = { $ref: `#/components/responses/${name}` }
    }
  }
  // Linters want a response that is no error; a redirect is none to them.
  if (!Object.keys(operation.responses).some((status) => status.startsWith('2'))) {
    components.OtherError ??= {
      description: 'Any other error',
      headers: refer('headers', ['X-Request-ID']),
      content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } }
    }
    operation.responses.default = { $ref: '#/components/responses/OtherError' }
  }
}

function refer(section: string, names: string[]): Json {
  return Object.fromEntries(
    names.map((name) => [name, { $ref: `#/components/${section}/${name}` }])
  )
}

function header(description: string, type: string): Json {
  return { description, schema: { type } }
}

function sortKeys(record: Record<string, Json>): Record<string, Json> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}
