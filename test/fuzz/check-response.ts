import { Ajv, type ValidateFunction } from 'ajv'
import { REQUEST_ID } from '../api/helper.ts'
import type { Operation } from './operations.ts'
import type { Call } from './calls.ts'

/** An answer, however it came. */
export interface Given {
  status: number
  header: (name: string) => string | undefined
  body: string
  tookMs: number
}

/** Refusals of a request before there is a route: the document has no place for them. */
const NOWHERE = new Set(['404 not_found', '405 method_not_allowed', '400 bad_request'])
/** What Atlassian's side brings about, on purpose; the document has it. */
const UPSTREAM = new Set([
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
const LONGEST_MS = 5_000

/** Compares answers with what the document says of their route. */
export function createJudge() {
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true })
  const compiled = new WeakMap<object, ValidateFunction>()

  function fits(schema: object, value: unknown): string | undefined {
    const validate = compiled.get(schema) ?? ajv.compile(schema)
    compiled.set(schema, validate)
    return validate(value) ? undefined : ajv.errorsText(validate.errors).slice(0, 200)
  }

  function problemOf(answers: Operation['answers']): object {
    for (const content of answers.values()) {
      if (content?.['application/problem+json'] !== undefined) {
        return content['application/problem+json']
      }
    }
    return {}
  }

  function body(operation: Operation, call: Call, { status, header, body }: Given): string[] {
    const type = header('content-type')?.split(';')[0]?.trim()
    const documented = operation.answers.get(status)
    if (call.method === 'HEAD' || call.method === 'OPTIONS' || status === 304 || status === 204) {
      return body === '' ? [] : [`${status} with a body`]
    }
    if (documented === null) return body === '' ? [] : [`${status} with a body`]
    const schema =
      documented?.[type ?? ''] ??
      (type === 'application/problem+json' ? problemOf(operation.answers) : undefined)
    if (schema === undefined) {
      return call.aside && status < 300 ? [] : [`${status} with the content type ${type}`]
    }
    if (!type?.endsWith('json')) return []
    try {
      const value = JSON.parse(body) as Record<string, unknown>
      const wrong = fits(schema, value)
      return [
        ...(wrong === undefined ? [] : [`${status} with a body that does not fit: ${wrong}`]),
        ...(type === 'application/problem+json' &&
        (value.status !== status || value.request_id !== header('x-request-id'))
          ? [`${status} with another status or request id inside`]
          : [])
      ]
    } catch {
      return [`${status} with a body that is not JSON`]
    }
  }

  /** All that is wrong with an answer, one sentence each. */
  return function judge(operation: Operation, call: Call, given: Given): string[] {
    const { status, header, tookMs } = given
    const code = /"code":"(\w+)"/.exec(given.body)?.[1] ?? ''
    const known =
      operation.answers.has(status) ||
      NOWHERE.has(`${status} ${code}`) ||
      (call.aside &&
        ([200, 204].includes(status) ||
          (call.method === 'HEAD' && [400, 404, 405].includes(status))))
    return [
      ...(known ? [] : [`undocumented ${status} ${code}`]),
      ...(status >= 500 && !UPSTREAM.has(code) ? [`${status} ${code}`] : []),
      ...body(operation, call, given),
      ...(REQUEST_ID.test(header('x-request-id') ?? '')
        ? []
        : [`${status} with the request id ${header('x-request-id')}`]),
      ...(header('x-content-type-options') === 'nosniff' ? [] : [`${status} without nosniff`]),
      ...(tookMs > LONGEST_MS ? [`an answer after ${LONGEST_MS} ms`] : [])
    ]
  }
}
