import fc from 'fast-check'
import {
  HOSTILE_BODIES,
  CONTENT_TYPES,
  HOSTILE_TEXTS,
  JSON_VALUES,
  LONG_TEXTS
} from '../fixtures/hostile.ts'
import { HOSTILE_HEADERS } from '../fixtures/headers.ts'
import type { JsonSchema } from '../openapi/dereference.ts'
import type { ApiOperation } from './operations.ts'

/** A request with placeholders `{user}` and `{run}`, replaced when it is sent. */
export interface FuzzCall {
  method: string
  /** Starts with the path of the route, unless `isOffRoute`. */
  url: string
  headers: Record<string, string>
  payload: string | undefined
  /** Targets no route: another method or another path. */
  isOffRoute: boolean
}

const HTTP_METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'SEARCH']
const KNOWN_CLOUD_ID = '8f0c1d3e-2222-4b4b-9a9a-000000000001'
/** Avoids long polling. */
const MAX_BY_PARAMETER: Record<string, number> = { wait: 0 }

const arbitraryHostileText = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...HOSTILE_TEXTS) },
  { weight: 1, arbitrary: fc.constantFrom(...LONG_TEXTS) },
  { weight: 6, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 300 }) }
)
const arbitraryJsonText = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...JSON_VALUES) },
  { weight: 2, arbitrary: arbitraryHostileText.map((text) => JSON.stringify(text)) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)) }
)

/** Mostly valid values, so that requests pass validation; some nearly valid, some arbitrary. */
function mixArbitraries<T>(
  right: fc.Arbitrary<T>,
  near: fc.Arbitrary<T>,
  wrong: fc.Arbitrary<T>
): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 8, arbitrary: right },
    { weight: 2, arbitrary: near },
    { weight: 2, arbitrary: wrong }
  )
}

/** Parameters replaced by ids that exist when the request is sent. */
const ID_NAMES = /^(user_id|owner_id|id)$/

/** A text that a schema accepts. */
function arbitraryValidText(
  name: string,
  { enum: words, example, pattern, format, maxLength, minLength = 0 }: JsonSchema
): fc.Arbitrary<string> {
  if (words !== undefined) return fc.constantFrom(...(words as string[]))
  if (ID_NAMES.test(name) && name !== 'id') {
    return fc.constantFrom('{user}', '{user}', '{user}', '1', '2', '9007199254740991')
  }
  if (name === 'id') return fc.constantFrom('{run}', '1', '9')
  if (/^cloud_id/.test(name)) {
    return fc.constantFrom(KNOWN_CLOUD_ID, '8f0c1d3e-2222-4b4b-9a9a-000000000002')
  }
  const free = pattern === undefined && !['email', 'http-url', 'instant', 'key'].includes(format)
  return fc.oneof(
    fc.constant(String(example ?? 'x')),
    ...(free
      ? [fc.string({ unit: 'grapheme', minLength, maxLength: Math.min(maxLength ?? 50, 50) })]
      : [])
  )
}

/** Texts around the limits of a schema. */
function arbitraryNearMissText({
  maxLength = 100,
  minLength = 0,
  example = 'a'
}: JsonSchema): fc.Arbitrary<string> {
  const sample = String(example)
  return fc.constantFrom(
    'a'.repeat(maxLength),
    'a'.repeat(maxLength + 1),
    '😀'.repeat(Math.ceil(maxLength / 2)),
    'a'.repeat(Math.max(0, minLength - 1)),
    ` ${sample}`,
    `${sample} `,
    sample.toUpperCase(),
    `${sample}${sample}`,
    `${sample}\0`,
    sample.slice(1)
  )
}

function arbitraryParameter(name: string, schema: JsonSchema): fc.Arbitrary<string> {
  if (schema.type === 'integer' && !ID_NAMES.test(name)) {
    const max = Math.min(
      schema.maximum ?? Number.MAX_SAFE_INTEGER,
      MAX_BY_PARAMETER[name] ?? Number.MAX_SAFE_INTEGER
    )
    const waits = name in MAX_BY_PARAMETER
    return mixArbitraries(
      fc.integer({ min: schema.minimum ?? 0, max }).map(String),
      fc.constantFrom(
        ...(waits
          ? ['-1', '61']
          : [String((schema.minimum ?? 0) - 1), String(max), String(max + 1)])
      ),
      waits ? fc.constantFrom('x', '1e0', '', '0x0') : arbitraryHostileText
    )
  }
  return mixArbitraries(
    arbitraryValidText(name, schema),
    arbitraryNearMissText(schema),
    arbitraryHostileText
  )
}

/** A JSON value of a body property. */
function arbitraryJsonValue(name: string, schema: JsonSchema): fc.Arbitrary<string> {
  if (schema.anyOf !== undefined) {
    return fc.oneof(...(schema.anyOf as JsonSchema[]).map((each) => arbitraryJsonValue(name, each)))
  }
  if (schema.type === 'null') return fc.constant('null')
  if (schema.type === 'boolean') {
    return mixArbitraries(
      fc.constantFrom('true', 'false'),
      fc.constantFrom('"true"', '1'),
      arbitraryJsonText
    )
  }
  if (schema.type === 'integer') {
    return mixArbitraries(
      fc.constantFrom('{user}', '1'),
      fc.constantFrom('0', '-1', '1.0', '1.5', '9007199254740992'),
      arbitraryJsonText
    )
  }
  if (schema.type === 'array') {
    return mixArbitraries(
      fc
        .array(arbitraryJsonValue(name, schema.items), { maxLength: (schema.maxItems ?? 3) + 1 })
        .map((all) => `[${all.join()}]`),
      arbitraryJsonText,
      arbitraryJsonText
    )
  }
  if (schema.type === 'object') return arbitraryObject(schema)
  return mixArbitraries(
    arbitraryValidText(name, schema).map((text) => JSON.stringify(text)),
    arbitraryNearMissText(schema).map((text) => JSON.stringify(text)),
    arbitraryJsonText
  )
}

/** An object with most of its fields, sometimes with an unknown or a duplicate one. */
function arbitraryObject({ properties = {}, required = [] }: JsonSchema): fc.Arbitrary<string> {
  const fields = Object.entries<JsonSchema>(properties).map(([name, schema]) => {
    const field = arbitraryJsonValue(name, schema).map(
      (value) => `${JSON.stringify(name)}:${value}`
    )
    const duplicated = fc.tuple(field, field).map((both) => both.join())
    return fc.oneof(
      { weight: (required as string[]).includes(name) ? 1 : 10, arbitrary: fc.constant('') },
      { weight: 20, arbitrary: field },
      { weight: 1, arbitrary: duplicated }
    )
  })
  const extraField = fc
    .tuple(arbitraryHostileText, arbitraryJsonText)
    .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  return fc
    .tuple(
      ...fields,
      fc.oneof({ weight: 15, arbitrary: fc.constant('') }, { weight: 1, arbitrary: extraField })
    )
    .map((all) => `{${all.filter((field) => field !== '').join()}}`)
}

const arbitraryHeaderName = fc.constantFrom(
  'x-request-id',
  'user-agent',
  'x-forwarded-for',
  'x-forwarded-host',
  'forwarded',
  'origin',
  'referer',
  'accept',
  'accept-encoding',
  'cookie',
  'if-none-match',
  'last-event-id',
  'via',
  'x-real-ip',
  'authorization',
  'content-encoding',
  'range',
  'te',
  'prefer',
  'x-http-method-override',
  'access-control-request-method'
)
const arbitraryHeader = fc.oneof(
  fc.tuple(arbitraryHeaderName, arbitraryHostileText).map(([name, value]) => ({ [name]: value })),
  fc.constantFrom(...HOSTILE_HEADERS),
  fc.constantFrom<Record<string, string>>(
    { accept: 'application/json' },
    { accept: 'text/html' },
    { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
    { 'if-none-match': '*' },
    { 'content-encoding': 'gzip' }
  )
)
const arbitraryHeaders = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  { weight: 2, arbitrary: arbitraryHeader },
  {
    weight: 1,
    arbitrary: fc
      .tuple(arbitraryHeader, arbitraryHeader)
      .map(([one, other]) => ({ ...one, ...other }))
  }
)

function arbitraryPayload(
  operation: ApiOperation
): fc.Arbitrary<Pick<FuzzCall, 'payload'> & { type: string | undefined }> {
  const json = 'application/json'
  const raw = fc
    .tuple(fc.constantFrom(...HOSTILE_BODIES), fc.constantFrom(json, json, ...CONTENT_TYPES))
    .map(([payload, type]) => ({ payload, type }))
  const none = fc.constant({ payload: undefined, type: undefined })
  if (operation.body === undefined) {
    return ['GET', 'HEAD'].includes(operation.method)
      ? none
      : fc.oneof({ weight: 8, arbitrary: none }, { weight: 1, arbitrary: raw })
  }
  const good = arbitraryJsonValue('', operation.body).map((payload) => ({ payload, type: json }))
  const mistyped = fc
    .tuple(arbitraryJsonValue('', operation.body), fc.constantFrom(...CONTENT_TYPES))
    .map(([payload, type]) => ({ payload, type }))
  return fc.oneof(
    { weight: 12, arbitrary: good },
    { weight: 1, arbitrary: mistyped },
    { weight: 2, arbitrary: raw },
    { weight: 1, arbitrary: none }
  )
}

/**
 * Requests for one route: valid, nearly valid and invalid in every place. Empty and dot segments
 * change the path and have their own test.
 */
export function arbitraryCalls(operation: ApiOperation): fc.Arbitrary<FuzzCall> {
  const parametersIn = (place: string) =>
    operation.parameters.filter((parameter) => parameter.in === place)
  const path = fc
    .tuple(
      ...parametersIn('path').map(({ name, schema }) =>
        arbitraryParameter(name, schema).map((text) => [`{${name}}`, toPathSegment(text)] as const)
      )
    )
    .map((values) =>
      values.reduce(
        (url, [place, text]) => url.replace(place, () => encodeText(text)),
        operation.path
      )
    )
  const declared = parametersIn('query').map(({ name, schema }) =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      {
        weight: 3,
        arbitrary: arbitraryParameter(name, schema).map((text) => [`${name}=${encodeText(text)}`])
      }
    )
  )
  const extra = fc.oneof(
    { weight: 20, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(arbitraryHostileText, arbitraryHostileText)
        .map(([name, value]) => [`${encodeText(name)}=${encodeText(value)}`])
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        ['%zz'],
        ['%ED%A0%80=%FF'],
        ['a[]=1'],
        ['__proto__=1'],
        ['&&&'],
        ['limit=1', 'limit=2'],
        ['=']
      )
    }
  )
  const query = fc.tuple(...declared, extra).map((parts) => parts.flat().join('&'))
  const fields = fc
    .tuple(
      ...parametersIn('header').map(({ name, schema }) =>
        fc.option(
          arbitraryParameter(name, schema).map((value) => ({ [name]: value })),
          { nil: {} }
        )
      )
    )
    .map((all) => Object.assign({}, ...all) as Record<string, string>)
  const deviation = fc.oneof(
    { weight: 30, arbitrary: fc.constant(undefined) },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(...HTTP_METHODS.filter((method) => method !== operation.method))
        .map((method) => ({ method }))
    },
    {
      weight: 1,
      arbitrary: arbitraryHostileText.map((text) => ({
        path: `${operation.path}/${encodeText(toPathSegment(text))}`
      }))
    }
  )
  return fc
    .tuple(
      path,
      query,
      fields,
      arbitraryHeaders,
      arbitraryPayload(operation),
      deviation,
      fc.boolean()
    )
    .map(([path, query, fields, headers, { payload, type }, deviation, alias]) => ({
      method: operation.method,
      url: `${alias ? '/api' : ''}${path}${query === '' ? '' : `?${query}`}`,
      headers: { ...fields, ...headers, ...(type === undefined ? {} : { 'content-type': type }) },
      payload,
      isOffRoute: deviation !== undefined,
      ...(deviation === undefined
        ? {}
        : 'method' in deviation
          ? deviation
          : { url: deviation.path })
    }))
}

/** Clients remove empty and dot segments before they send a path. */
function toPathSegment(text: string): string {
  return /^\.{0,2}$/.test(text) ? ` ${text}` : text
}

/** Encodes text as a client does, and replaces what cannot be encoded. Keeps the placeholders. */
function encodeText(text: string): string {
  return /^\{\w+\}$/.test(text) ? text : encodeURIComponent(text.toWellFormed())
}
