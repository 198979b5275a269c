import type { FastifyError } from 'fastify'
import fp from 'fastify-plugin'
import createRouter, { type HTTPMethod } from 'find-my-way'
import { ROUTER_OPTIONS, sendProblem } from '../src/http/problem.ts'
import { AppError, type FieldError } from '../src/lib/errors.ts'

/** Fastify's own errors, by code. */
const ERRORS_BY_FASTIFY_CODE: Record<string, () => AppError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new AppError('payload_too_large', 'The body is larger than this service accepts (64 KiB).'),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new AppError('unsupported_media_type', 'Send JSON, with Content-Type: application/json.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new AppError('bad_request', 'The length of the body differs from Content-Length.'),
  FST_ERR_CTP_INVALID_JSON_BODY: () => new AppError('invalid_json', 'The body is not valid JSON.'),
  FST_ERR_BAD_URL: () => new AppError('bad_request', 'The path is not a valid URL path.'),
  FST_ERR_HANDLER_TIMEOUT: () =>
    new AppError('unavailable', 'The request took too long. Try again.', { retryAfterS: 1 })
}

/** The formats of `plugins/validation.ts`, in words. */
const FORMAT_DESCRIPTIONS: Record<string, string> = {
  text: 'text without NUL and unpaired surrogates',
  email: 'one bare email address',
  'http-url': 'an absolute http(s) link without credentials',
  instant: 'an ISO 8601 time with its zone, such as 2026-11-23T12:00:00Z (send a plus sign as %2B)'
}

/** A longer list does not help. */
const MAX_FIELD_ERRORS = 20

/** Turns every error into a problem document (RFC 9457; docs/reference/contract.md section 5). */
export default fp(
  async (app) => {
    const routes: Array<{ url: string; method: HTTPMethod }> = []
    app.addHook('onRoute', ({ url, method }) => {
      for (const routeMethod of [method].flat() as HTTPMethod[]) {
        if (url !== '*') routes.push({ url, method: routeMethod })
      }
    })
    let findAllowedMethods: ((path: string) => HTTPMethod[]) | undefined

    app.setErrorHandler((error: FastifyError, request, reply) =>
      sendProblem(toAppError(error), request, reply, error)
    )

    app.setNotFoundHandler((request, reply) => {
      const path = request.url.replace(/[?#].*$/s, '')
      findAllowedMethods ??= createMethodFinder(routes)
      const allow = findAllowedMethods(path)
      return sendProblem(
        allow.length > 0 && !allow.includes(request.method as HTTPMethod)
          ? new AppError('method_not_allowed', `This path does not support ${request.method}.`, {
              allowedMethods: allow
            })
          : new AppError('not_found', 'This path does not exist.'),
        request,
        reply
      )
    })
  },
  { name: 'errors', dependencies: ['config', 'logging'] }
)

/** @returns a function that lists the methods of the routes that match a path */
function createMethodFinder(
  routes: ReadonlyArray<{ url: string; method: HTTPMethod }>
): (path: string) => HTTPMethod[] {
  const router = createRouter(ROUTER_OPTIONS)
  const methods = new Set<HTTPMethod>()
  for (const { url, method } of routes) {
    if (router.hasRoute(method, url)) continue
    methods.add(method)
    router.on(method, url, () => undefined)
  }
  return (path) => [...methods].filter((method) => router.find(method, path) !== null)
}

function toAppError(error: FastifyError): AppError {
  if (error instanceof AppError) return error
  if (error.validation !== undefined) {
    return new AppError('validation_failed', 'Request validation failed; see `errors`.', {
      errors: toFieldErrors(error)
    })
  }
  const createError = ERRORS_BY_FASTIFY_CODE[error.code]
  if (createError !== undefined) return createError()
  if (error instanceof SyntaxError && (error as { statusCode?: number }).statusCode === 400) {
    return new AppError('invalid_json', 'The body is not valid JSON.')
  }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new AppError('bad_request', 'The request is malformed.')
  }
  return new AppError('internal_error', 'Internal Server Error', { cause: error })
}

function toFieldErrors({ validation = [], validationContext }: FastifyError): FieldError[] {
  return validation
    .filter(isRelevant)
    .slice(0, MAX_FIELD_ERRORS)
    .map(({ instancePath, keyword, params, message }) => {
      const propertyName = (params.additionalProperty ?? params.missingProperty) as
        string | undefined
      const pointer =
        propertyName === undefined
          ? instancePath
          : `${instancePath}/${propertyName.replaceAll('~', '~0').replaceAll('/', '~1')}`
      const location =
        validationContext === 'querystring'
          ? 'query parameter'
          : validationContext === 'params'
            ? 'path parameter'
            : 'field'
      if (keyword === 'additionalProperties') return { pointer, detail: `Unknown ${location}.` }
      if (keyword === 'required') return { pointer, detail: `This ${location} is required.` }
      if (keyword === 'enum') {
        return {
          pointer,
          detail: `Value must be one of ${(params.allowedValues as string[]).join(', ')}.`
        }
      }
      if (keyword === 'format') {
        return {
          pointer,
          detail: `Value must be ${FORMAT_DESCRIPTIONS[params.format as string] ?? 'well-formed'}.`
        }
      }
      return { pointer, detail: `Value ${message ?? 'is invalid'}.` }
    })
}

/** For a nullable schema Ajv also reports that the value is not null; callers need not see that. */
function isRelevant({
  keyword,
  params
}: {
  keyword: string
  params: Record<string, unknown>
}): boolean {
  return keyword !== 'anyOf' && !(keyword === 'type' && params.type === 'null')
}
