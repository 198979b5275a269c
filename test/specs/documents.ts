import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'

/**
 * Atlassian's OpenAPI documents, with patches of known errors. They are not part of the
 * repository: a folder beside it has them.
 */
const FOLDER = join(import.meta.dirname, '../../../shared/specs')
export const HAS_DOCUMENTS = existsSync(FOLDER)

type JsonObject = Record<string, any>
type DocumentName = 'jira-v3' | 'confluence-v2' | 'confluence-v1'

export interface Operation {
  document: DocumentName
  method: string
  /** The path template, as the document has it. */
  path: string
  parameters: Array<{ name: string; in: string; required?: boolean; schema: JsonObject }>
  definition: JsonObject
}

/** One recorded call of an API, with the path below `/ex/{product}/{cloudId}`. */
export interface Exchange {
  product: string
  method: string
  path: string
  query: URLSearchParams
  requestBody: unknown
  status: number
  body: unknown
}

const read = (name: string) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8'))

/** The patches use only `add` and `replace`. */
function applyPatch(document: JsonObject, operations: Array<{ path: string; value: unknown }>) {
  for (const { path, value } of operations) {
    const keys = path
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = keys.pop() ?? ''
    const parent = keys.reduce((node, key) => node[key], document)
    if (last === '-') parent.push(value)
    else parent[last] = value
  }
  return document
}

/** OpenAPI 3.0 says `nullable: true` where JSON Schema allows a second type. */
function toJsonSchema(node: any): any {
  if (Array.isArray(node)) return node.map(toJsonSchema)
  if (node === null || typeof node !== 'object') return node
  const copy = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, toJsonSchema(value)])
  )
  return node.nullable === true ? { anyOf: [copy, { type: 'null' }] } : copy
}

function loadDocument(name: DocumentName) {
  const document = applyPatch(read(`${name}.json`), read(`${name}.patch.json`))
  const ajv = new Ajv({
    strict: false,
    allErrors: true,
    validateFormats: false,
    coerceTypes: false
  })
  ajv.addSchema({
    $id: 'spec',
    components: { schemas: toJsonSchema(document.components.schemas) }
  })
  const compiled = new Map<object, ValidateFunction>()
  const compile = (schema: object) => {
    const known = compiled.get(schema)
    if (known !== undefined) return known
    const text = JSON.stringify(toJsonSchema(schema)).replaceAll(
      '"#/components',
      '"spec#/components'
    )
    const validate = ajv.compile(JSON.parse(text))
    compiled.set(schema, validate)
    return validate
  }
  const routes = Object.keys(document.paths)
    .map((path) => ({
      path,
      pattern: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{[^}]+\}/g, '[^/]+')}$`),
      variables: path.split('{').length
    }))
    .sort((a, b) => a.variables - b.variables)
  return { document, compile, routes }
}

const documents = new Map<DocumentName, ReturnType<typeof loadDocument>>()
function getDocument(name: DocumentName) {
  const loaded = documents.get(name) ?? loadDocument(name)
  documents.set(name, loaded)
  return loaded
}

/** @returns undefined for a call that no document has */
export function findOperation({ product, method, path }: Exchange): Operation | undefined {
  const isV2 = path.startsWith('/wiki/api/v2')
  const name = product === 'jira' ? 'jira-v3' : isV2 ? 'confluence-v2' : 'confluence-v1'
  const { document, routes } = getDocument(name)
  const local = isV2 ? path.slice('/wiki/api/v2'.length) : path
  const route = routes.find(
    ({ path: template, pattern }) =>
      pattern.test(local) && document.paths[template][method.toLowerCase()] !== undefined
  )
  if (route === undefined) return undefined
  const item = document.paths[route.path]
  const definition = item[method.toLowerCase()]
  return {
    document: name,
    method,
    path: route.path,
    definition,
    parameters: [...(item.parameters ?? []), ...(definition.parameters ?? [])]
  }
}

/** Differences between a value and a schema of the document, as text. */
export function compare({ document }: Operation, schema: object, value: unknown): string[] {
  const validate = getDocument(document).compile(schema)
  if (validate(value)) return []
  return (validate.errors ?? []).map(({ instancePath, message, params }) => {
    const name = params.additionalProperty ?? params.missingProperty ?? ''
    return `${instancePath.replaceAll(/\/\d+(?=\/|$)/g, '/*') || '/'} ${message} ${name}`.trim()
  })
}

/** The schema of an answer; undefined if the document has none for the status. */
export function findAnswerSchema({ definition }: Operation, status: number): object | undefined {
  const content = definition.responses?.[String(status)]?.content ?? {}
  return content['application/json']?.schema
}

/** Differences between a request and its operation: names, values, required parts and the body. */
export function compareRequest(
  operation: Operation,
  { query, requestBody }: Pick<Exchange, 'query' | 'requestBody'>
): string[] {
  const inQuery = operation.parameters.filter((parameter) => parameter.in === 'query')
  const unknown = [...new Set(query.keys())]
    .filter((name) => !inQuery.some((parameter) => parameter.name === name))
    .map((name) => `unknown parameter ${name}`)
  const missing = inQuery
    .filter(({ name, required }) => required === true && !query.has(name))
    .map(({ name }) => `missing parameter ${name}`)
  const values = inQuery
    .filter(({ name }) => query.has(name))
    .flatMap(({ name, schema }) =>
      compare(operation, schema, parseParameter(query.getAll(name), schema)).map(
        (difference) => `parameter ${name}: ${difference}`
      )
    )
  const body = operation.definition.requestBody?.content?.['application/json']?.schema
  const bodyDifferences =
    requestBody === undefined
      ? operation.definition.requestBody?.required === true
        ? ['missing body']
        : []
      : body === undefined
        ? ['unexpected body']
        : compare(operation, body, requestBody).map((difference) => `body: ${difference}`)
  return [...unknown, ...missing, ...values, ...bodyDifferences]
}

function parseParameter(texts: string[], schema: JsonObject): unknown {
  if (schema.type === 'array') {
    return texts.flatMap((text) => text.split(',')).map((text) => parseScalar(text, schema.items))
  }
  return parseScalar(texts.join(), schema)
}

function parseScalar(text: string, schema: JsonObject = {}): unknown {
  if (schema.type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true'
  const isNumber = schema.type === 'integer' || schema.type === 'number'
  return isNumber && /^-?\d+$/.test(text) ? Number(text) : text
}
