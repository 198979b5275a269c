import type { FieldError } from '../lib/errors.ts'

/** One error of Ajv, as Fastify passes it on. */
interface ValidationError {
  instancePath: string
  schemaPath: string
  keyword: string
  params: Record<string, unknown>
  message?: string | undefined
}

/** A request that does not fit the schema of its route. */
export interface InvalidRequest {
  validation: readonly ValidationError[]
  /** The part of the request: `body`, `querystring`, `params` or `headers`. */
  part: string | undefined
  /** The schema of that part. */
  schema: unknown
  /** Whether the request has no body. */
  isBodyMissing: boolean
}

/** The formats of `plugins/validation.ts`, in words. */
const FORMAT_DESCRIPTIONS: Record<string, string> = {
  text: 'text without NUL and unpaired surrogates',
  key: 'visible characters without slashes, and not . or ..',
  email: 'one bare email address, such as ada@example.com, without a name or angle brackets',
  'http-url': 'an absolute http(s) link without credentials',
  instant: 'an ISO 8601 time with its zone, such as 2026-11-23T12:00:00Z (send a plus sign as %2B)'
}
const TYPE_DESCRIPTIONS: Record<string, string> = {
  integer: 'a whole number',
  number: 'a number',
  string: 'a string',
  boolean: 'true or false',
  array: 'an array',
  object: 'a JSON object'
}
const PART_NAMES: Record<string, string> = {
  querystring: 'query parameter',
  params: 'path parameter',
  headers: 'header'
}

/** A longer list does not help. */
const MAX_FIELD_ERRORS = 20
/** Longer names of fields are cut in sentences; the pointer has them whole. */
const MAX_NAME_LENGTH = 60

/**
 * Explains a request that does not fit its schema.
 *
 * @returns a sentence about the first problem, and every problem with its place
 */
export function explainInvalidRequest(request: InvalidRequest): {
  detail: string
  errors: FieldError[]
} {
  if (request.part === 'body' && request.isBodyMissing) {
    const detail = 'Request body is required.'
    return { detail, errors: [{ pointer: '', detail }] }
  }
  const problems = request.validation
    .filter(isRelevant)
    .slice(0, MAX_FIELD_ERRORS)
    .map((error) => explainError(error, request))
  const [first, ...others] = problems
  const rest =
    others.length === 0
      ? ''
      : ` ${others.length} more ${others.length === 1 ? 'problem is' : 'problems are'} in errors.`
  return {
    detail: `${first?.sentence ?? 'The request is invalid.'}${rest}`,
    errors: problems.map(({ pointer, detail }) => ({ pointer, detail }))
  }
}

function explainError(
  { instancePath, schemaPath, keyword, params, message }: ValidationError,
  { part = '', schema }: InvalidRequest
): FieldError & { sentence: string } {
  const place = PART_NAMES[part] ?? 'field'
  const property = (params.additionalProperty ?? params.missingProperty) as string | undefined
  const pointer =
    property === undefined
      ? instancePath
      : `${instancePath}/${property.replaceAll('~', '~0').replaceAll('/', '~1')}`
  const name = pointer.slice(1)
  const shortName = name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH)}…` : name
  if (keyword === 'additionalProperties') {
    const known = part === 'querystring' ? ` ${listParameters(schema)}` : ''
    return {
      pointer,
      detail: `Unknown ${place}.${known}`,
      sentence: `Unknown ${place} ${shortName}.${known}`
    }
  }
  if (keyword === 'required') {
    return {
      pointer,
      detail: `This ${place} is required.`,
      sentence: `The ${place} ${shortName} is required.`
    }
  }
  const rule =
    describeRule(keyword, params, findParent(schema, schemaPath)) ?? message ?? 'is invalid'
  return {
    pointer,
    detail: `Value ${rule}.`,
    sentence: pointer === '' ? `The request body ${rule}.` : `The ${place} ${shortName} ${rule}.`
  }
}

/** What a value has to be, in words that follow its name. */
function describeRule(
  keyword: string,
  params: Record<string, unknown>,
  parent: Record<string, unknown>
): string | undefined {
  const limit = Number(params.limit)
  const { minimum, maximum, description } = parent
  switch (keyword) {
    case 'enum':
      return `must be one of ${(params.allowedValues as string[]).join(', ')}`
    case 'format':
      return `must be ${FORMAT_DESCRIPTIONS[params.format as string] ?? 'well-formed'}`
    case 'type':
    case 'minimum':
    case 'maximum':
      if (minimum !== undefined && maximum !== undefined) {
        return `must be a whole number from ${String(minimum)} to ${String(maximum)}`
      }
      if (keyword === 'type') return `must be ${TYPE_DESCRIPTIONS[params.type as string] ?? 'null'}`
      return `must be at ${keyword === 'minimum' ? 'least' : 'most'} ${limit}`
    case 'minLength':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} characters`
    case 'maxLength':
      return `must have at most ${limit} characters`
    case 'minItems':
    case 'minProperties':
      return `must have at least ${limit} ${limit === 1 ? 'entry' : 'entries'}`
    case 'maxItems':
    case 'maxProperties':
      return `must have at most ${limit} ${limit === 1 ? 'entry' : 'entries'}`
    case 'uniqueItems':
      return 'must not contain an entry twice'
    case 'pattern':
      return typeof description === 'string'
        ? `must have the documented form: ${description.replace(/\.$/, '')}`
        : 'must have the documented form'
    default:
      return undefined
  }
}

/** The query parameters that an endpoint has. */
function listParameters(schema: unknown): string {
  const names = Object.keys((schema as { properties?: object } | undefined)?.properties ?? {})
  return names.length === 0
    ? 'This endpoint has no query parameters.'
    : `This endpoint has ${names.join(', ')}.`
}

/** The schema that contains the keyword to which a path such as `#/properties/limit/type` leads. */
function findParent(schema: unknown, schemaPath: string): Record<string, unknown> {
  let parent = schema
  for (const segment of schemaPath.split('/').slice(1, -1)) {
    const key = decodeURIComponent(segment).replaceAll('~1', '/').replaceAll('~0', '~')
    parent = (parent as Record<string, unknown> | undefined)?.[key]
  }
  return (parent ?? {}) as Record<string, unknown>
}

/** For a nullable schema Ajv also reports that the value is not null; callers need not see that. */
function isRelevant({ keyword, params }: ValidationError): boolean {
  return keyword !== 'anyOf' && !(keyword === 'type' && params.type === 'null')
}
