import fc from 'fast-check'
import {
  BODIES,
  CONTENT_TYPES,
  HOSTILE_TEXTS,
  JSON_VALUES,
  LONG_TEXTS
} from '../fixtures/hostile.ts'
import { HOSTILE_HEADERS } from '../fixtures/headers.ts'
import type { Operation, Schema } from './operations.ts'

/** A request, with `{user}` and `{run}` in the place of what is there when it is sent. */
export interface Call {
  method: string
  /** Begins with the path that the route has, unless `aside`. */
  url: string
  headers: Record<string, string>
  payload: string | undefined
  /** Meant for no route: another method, or another path. */
  aside: boolean
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'SEARCH']
const SITE = '8f0c1d3e-2222-4b4b-9a9a-000000000001'
/** What would make a request wait on purpose is not waited for here. */
const AT_MOST: Record<string, number> = { wait: 0 }

const hostile = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...HOSTILE_TEXTS) },
  { weight: 1, arbitrary: fc.constantFrom(...LONG_TEXTS) },
  { weight: 6, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  { weight: 3, arbitrary: fc.string({ unit: 'grapheme', maxLength: 300 }) }
)
const json = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...JSON_VALUES) },
  { weight: 2, arbitrary: hostile.map((text) => JSON.stringify(text)) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)) }
)

/** Mostly right, so that what is right gets far; sometimes nearly; sometimes anything. */
function mixed<T>(
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

/** A text that a schema takes. */
function rightText(
  name: string,
  { enum: words, example, pattern, format, maxLength, minLength = 0 }: Schema
): fc.Arbitrary<string> {
  if (words !== undefined) return fc.constantFrom(...(words as string[]))
  if (/^(user_id|owner_id)$/.test(name)) {
    return fc.constantFrom('{user}', '{user}', '{user}', '1', '2', '9007199254740991')
  }
  if (name === 'id') return fc.constantFrom('{run}', '1', '9')
  if (/^cloud_id/.test(name)) return fc.constantFrom(SITE, '8f0c1d3e-2222-4b4b-9a9a-000000000002')
  const free = pattern === undefined && !['email', 'http-url', 'instant'].includes(format)
  return fc.oneof(
    fc.constant(String(example ?? 'x')),
    ...(free
      ? [fc.string({ unit: 'grapheme', minLength, maxLength: Math.min(maxLength ?? 50, 50) })]
      : [])
  )
}

/** Around the limits of a schema. */
function nearText({ maxLength = 100, minLength = 0, example = 'a' }: Schema): fc.Arbitrary<string> {
  const shown = String(example)
  return fc.constantFrom(
    'a'.repeat(maxLength),
    'a'.repeat(maxLength + 1),
    '😀'.repeat(Math.ceil(maxLength / 2)),
    'a'.repeat(Math.max(0, minLength - 1)),
    ` ${shown}`,
    `${shown} `,
    shown.toUpperCase(),
    `${shown}${shown}`,
    `${shown}\0`,
    shown.slice(1)
  )
}

function textOf(name: string, schema: Schema): fc.Arbitrary<string> {
  if (schema.type === 'integer') {
    const most = Math.min(
      schema.maximum ?? Number.MAX_SAFE_INTEGER,
      AT_MOST[name] ?? Number.MAX_SAFE_INTEGER
    )
    const waits = name in AT_MOST
    return mixed(
      fc.integer({ min: schema.minimum ?? 0, max: most }).map(String),
      fc.constantFrom(
        ...(waits
          ? ['-1', '61']
          : [String((schema.minimum ?? 0) - 1), String(most), String(most + 1)])
      ),
      waits ? fc.constantFrom('x', '1e0', '', '0x0') : hostile
    )
  }
  return mixed(rightText(name, schema), nearText(schema), hostile)
}

/** A value of a body, as JSON. */
function valueOf(name: string, schema: Schema): fc.Arbitrary<string> {
  if (schema.anyOf !== undefined) {
    return fc.oneof(...(schema.anyOf as Schema[]).map((each) => valueOf(name, each)))
  }
  if (schema.type === 'null') return fc.constant('null')
  if (schema.type === 'boolean') {
    return mixed(fc.constantFrom('true', 'false'), fc.constantFrom('"true"', '1'), json)
  }
  if (schema.type === 'integer') {
    return mixed(
      fc.constantFrom('{user}', '1'),
      fc.constantFrom('0', '-1', '1.0', '1.5', '9007199254740992'),
      json
    )
  }
  if (schema.type === 'array') {
    return mixed(
      fc
        .array(valueOf(name, schema.items), { maxLength: (schema.maxItems ?? 3) + 1 })
        .map((all) => `[${all.join()}]`),
      json,
      json
    )
  }
  if (schema.type === 'object') return bodyOf(schema)
  return mixed(
    rightText(name, schema).map((text) => JSON.stringify(text)),
    nearText(schema).map((text) => JSON.stringify(text)),
    json
  )
}

/** An object with most of its fields, sometimes another one, and sometimes one twice. */
function bodyOf({ properties = {}, required = [] }: Schema): fc.Arbitrary<string> {
  const fields = Object.entries<Schema>(properties).map(([name, schema]) => {
    const field = valueOf(name, schema).map((value) => `${JSON.stringify(name)}:${value}`)
    const twice = fc.tuple(field, field).map((both) => both.join())
    return fc.oneof(
      { weight: (required as string[]).includes(name) ? 1 : 10, arbitrary: fc.constant('') },
      { weight: 20, arbitrary: field },
      { weight: 1, arbitrary: twice }
    )
  })
  const another = fc.tuple(hostile, json).map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  return fc
    .tuple(
      ...fields,
      fc.oneof({ weight: 15, arbitrary: fc.constant('') }, { weight: 1, arbitrary: another })
    )
    .map((all) => `{${all.filter((field) => field !== '').join()}}`)
}

const headerName = fc.constantFrom(
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
const header = fc.oneof(
  fc.tuple(headerName, hostile).map(([name, value]) => ({ [name]: value })),
  fc.constantFrom(...HOSTILE_HEADERS),
  fc.constantFrom<Record<string, string>>(
    { accept: 'application/json' },
    { accept: 'text/html' },
    { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
    { 'if-none-match': '*' },
    { 'content-encoding': 'gzip' }
  )
)
const headers = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  { weight: 2, arbitrary: header },
  { weight: 1, arbitrary: fc.tuple(header, header).map(([one, other]) => ({ ...one, ...other })) }
)

function payloadOf(
  operation: Operation
): fc.Arbitrary<Pick<Call, 'payload'> & { type: string | undefined }> {
  const json = 'application/json'
  const raw = fc
    .tuple(fc.constantFrom(...BODIES), fc.constantFrom(json, json, ...CONTENT_TYPES))
    .map(([payload, type]) => ({ payload, type }))
  const none = fc.constant({ payload: undefined, type: undefined })
  if (operation.body === undefined) {
    return ['GET', 'HEAD'].includes(operation.method)
      ? none
      : fc.oneof({ weight: 8, arbitrary: none }, { weight: 1, arbitrary: raw })
  }
  const good = valueOf('', operation.body).map((payload) => ({ payload, type: json }))
  const mistyped = fc
    .tuple(valueOf('', operation.body), fc.constantFrom(...CONTENT_TYPES))
    .map(([payload, type]) => ({ payload, type }))
  return fc.oneof(
    { weight: 12, arbitrary: good },
    { weight: 1, arbitrary: mistyped },
    { weight: 2, arbitrary: raw },
    { weight: 1, arbitrary: none }
  )
}

/** Requests for one route: right, nearly right and wrong in every place. Nothing and dots make another path of one, and have a test of their own. */
export function callsFor(operation: Operation): fc.Arbitrary<Call> {
  const named = (place: string) =>
    operation.parameters.filter((parameter) => parameter.in === place)
  const path = fc
    .tuple(
      ...named('path').map(({ name, schema }) =>
        textOf(name, schema).map((text) => [`{${name}}`, piece(text)] as const)
      )
    )
    .map((values) =>
      values.reduce((url, [place, text]) => url.replace(place, () => coded(text)), operation.path)
    )
  const declared = named('query').map(({ name, schema }) =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      { weight: 3, arbitrary: textOf(name, schema).map((text) => [`${name}=${coded(text)}`]) }
    )
  )
  const extra = fc.oneof(
    { weight: 20, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(hostile, hostile)
        .map(([name, value]) => [`${coded(name)}=${coded(value)}`])
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
      ...named('header').map(({ name, schema }) =>
        fc.option(
          textOf(name, schema).map((value) => ({ [name]: value })),
          { nil: {} }
        )
      )
    )
    .map((all) => Object.assign({}, ...all) as Record<string, string>)
  const astray = fc.oneof(
    { weight: 30, arbitrary: fc.constant(undefined) },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(...METHODS.filter((method) => method !== operation.method))
        .map((method) => ({ method }))
    },
    {
      weight: 1,
      arbitrary: hostile.map((text) => ({ path: `${operation.path}/${coded(piece(text))}` }))
    }
  )
  return fc
    .tuple(path, query, fields, headers, payloadOf(operation), astray, fc.boolean())
    .map(([path, query, fields, headers, { payload, type }, astray, alias]) => ({
      method: operation.method,
      url: `${alias ? '/api' : ''}${path}${query === '' ? '' : `?${query}`}`,
      headers: { ...fields, ...headers, ...(type === undefined ? {} : { 'content-type': type }) },
      payload,
      aside: astray !== undefined,
      ...(astray === undefined ? {} : 'method' in astray ? astray : { url: astray.path })
    }))
}

/** Nothing and dots are no piece of a path: clients take them away before they send it. */
function piece(text: string): string {
  return /^\.{0,2}$/.test(text) ? ` ${text}` : text
}

/** As a client encodes it; what cannot be encoded becomes what a careless one would send. The places to fill stay as they are. */
function coded(text: string): string {
  return /^\{\w+\}$/.test(text) ? text : encodeURIComponent(text.toWellFormed())
}
