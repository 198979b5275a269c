import { Ajv, type ValidateFunction } from 'ajv'
import { REQUEST_ID_PATTERN } from '../api/helper.ts'
import type { ApiOperation } from './operations.ts'
import type { FuzzCall } from './calls.ts'

/** A response of any transport. */
export interface TimedResponse {
  status: number
  header: (name: string) => string | undefined
  body: string
  tookMs: number
}

/** Refusals before routing, which the OpenAPI document cannot describe. */
const ROUTELESS_ERRORS = new Set(['404 not_found', '405 method_not_allowed', '400 bad_request'])
/** A foreign host name is refused before routing, with a page where a person may see it. */
const MISDIRECTED = 421
/** Errors that Atlassian causes; they are documented. */
const UPSTREAM_ERRORS = new Set([
  'invalid_code',
  'upstream_refused',
  'upstream_failed',
  'upstream_rate_limited',
  'upstream_unreachable',
  'upstream_timeout',
  'upstream_invalid_answer',
  'oauth_misconfigured',
  'callback_interrupted'
])
const MAX_RESPONSE_MS = 5_000

/** Compares responses with the OpenAPI document. */
export function createResponseChecker() {
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true })
  const validators = new WeakMap<object, ValidateFunction>()

  function validateSchema(schema: object, value: unknown): string | undefined {
    const validate = validators.get(schema) ?? ajv.compile(schema)
    validators.set(schema, validate)
    return validate(value) ? undefined : ajv.errorsText(validate.errors).slice(0, 200)
  }

  function findProblemSchema(responses: ApiOperation['responses']): object {
    for (const content of responses.values()) {
      if (content?.['application/problem+json'] !== undefined) {
        return content['application/problem+json']
      }
    }
    return {}
  }

  function checkBody(
    operation: ApiOperation,
    call: FuzzCall,
    { status, header, body }: TimedResponse
  ): string[] {
    const type = header('content-type')?.split(';')[0]?.trim()
    const documented = operation.responses.get(status)
    if (call.method === 'HEAD' || call.method === 'OPTIONS' || status === 304 || status === 204) {
      return body === '' ? [] : [`${status} with a body`]
    }
    if (documented === null) return body === '' ? [] : [`${status} with a body`]
    const schema =
      documented?.[type ?? ''] ??
      (type === 'application/problem+json' ? findProblemSchema(operation.responses) : undefined)
    if (schema === undefined) {
      return (call.isOffRoute && status < 300) || status === MISDIRECTED
        ? []
        : [`${status} with the content type ${type}`]
    }
    if (!type?.endsWith('json')) return []
    try {
      const value = JSON.parse(body) as Record<string, unknown>
      const schemaError = validateSchema(schema, value)
      return [
        ...(schemaError === undefined
          ? []
          : [`${status} with a body that does not fit: ${schemaError}`]),
        ...(type === 'application/problem+json' &&
        (value.status !== status || value.request_id !== header('x-request-id'))
          ? [`${status} with another status or request id inside`]
          : [])
      ]
    } catch {
      return [`${status} with a body that is not JSON`]
    }
  }

  /** All problems of a response, one sentence each. */
  return function findResponseProblems(
    operation: ApiOperation,
    call: FuzzCall,
    response: TimedResponse
  ): string[] {
    const { status, header, tookMs } = response
    const code = /"code":"(\w+)"/.exec(response.body)?.[1] ?? ''
    const isDocumented =
      operation.responses.has(status) ||
      status === MISDIRECTED ||
      ROUTELESS_ERRORS.has(`${status} ${code}`) ||
      (call.isOffRoute &&
        ([200, 204].includes(status) ||
          (call.method === 'HEAD' && [400, 404, 405].includes(status))))
    return [
      ...(isDocumented ? [] : [`undocumented ${status} ${code}`]),
      ...(status >= 500 && !UPSTREAM_ERRORS.has(code) ? [`${status} ${code}`] : []),
      ...checkBody(operation, call, response),
      ...(REQUEST_ID_PATTERN.test(header('x-request-id') ?? '')
        ? []
        : [`${status} with the request id ${header('x-request-id')}`]),
      ...(header('x-content-type-options') === 'nosniff' ? [] : [`${status} without nosniff`]),
      ...(tookMs > MAX_RESPONSE_MS ? [`an answer after ${MAX_RESPONSE_MS} ms`] : [])
    ]
  }
}
