import type { FastifyError, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import createRouter, { type HTTPMethod } from 'find-my-way'
import { ROUTER_OPTIONS, sendProblem } from '../src/http/problem.ts'
import { explainInvalidRequest } from '../src/http/field-errors.ts'
import { AppError } from '../src/lib/errors.ts'

/** Fastify's own errors, by code. */
const ERRORS_BY_FASTIFY_CODE: Record<string, () => AppError> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new AppError('payload_too_large', 'The body is larger than this service accepts (64 KiB).'),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new AppError('unsupported_media_type', 'Send JSON, with Content-Type: application/json.'),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    new AppError('bad_request', 'The length of the body differs from Content-Length.'),
  FST_ERR_CTP_INVALID_JSON_BODY: () => new AppError('invalid_json', 'The body is not valid JSON.'),
  FST_ERR_BAD_URL: () => new AppError('bad_request', 'The path is not a valid URL path.')
}

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
      sendProblem(toAppError(error, request), request, reply, error)
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

function toAppError(error: FastifyError, { body, routeOptions }: FastifyRequest): AppError {
  if (error instanceof AppError) return error
  const { validation, validationContext: part } = error
  if (validation !== undefined) {
    const { detail, errors } = explainInvalidRequest({
      validation,
      part,
      schema: routeOptions.schema?.[part as 'querystring'],
      isBodyMissing: body === undefined
    })
    return new AppError('validation_failed', detail, { errors })
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
