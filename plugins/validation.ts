import { Ajv } from 'ajv'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'
import { isEmail, isHttpUrl, isIsoDateTime, isKey, isStorableText } from '../src/lib/formats.ts'
import { createLazyCompiler } from '../src/http/compile-cache.ts'
import { describeSyntaxError } from '../src/http/json-syntax.ts'
import { problemResponses } from '../src/http/schemas.ts'

const FORMAT_VALIDATORS: Record<string, (value: string) => boolean> = {
  text: isStorableText,
  key: isKey,
  email: isEmail,
  'http-url': isHttpUrl,
  instant: isIsoDateTime
}

const INTEGER_PATTERN = /^(0|[1-9]\d{0,15})$/

/** One for all servers of a process: a validator is read (`errors`) before anything else can call it. */
const ajv = new Ajv({
  allErrors: true,
  removeAdditional: false,
  useDefaults: true,
  coerceTypes: false,
  formats: FORMAT_VALIDATORS,
  keywords: ['example']
})
const lazyValidator = createLazyCompiler((schema) => ajv.compile(schema))

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * `ignored`: query parameters that the route does not declare are ignored, as the earlier
     * service did (docs/reference/contract.md#1-endpoints). Otherwise: refused with 422.
     */
    unknownQuery?: 'ignored'
  }
}

interface ParameterSchema {
  properties?: Record<string, { type?: string }>
}

/**
 * Validates requests with Ajv, without coercion and without removing unknown fields. In paths,
 * queries and headers, where every value is text, it reads integers in decimal only: Ajv's own
 * coercion accepts `0x10`, `1e2` and `true`.
 */
export default fp(
  async (app) => {
    app.addHook('onRoute', ({ schema, config }) => {
      // Hidden routes serve pages, documents and the sandbox.
      if (schema === undefined || schema.hide === true || config?.unknownQuery === 'ignored') return
      schema.querystring = {
        ...((schema.querystring as object | undefined) ?? { type: 'object', properties: {} }),
        additionalProperties: false
      }
      schema.response = { ...problemResponses(422), ...(schema.response as object | undefined) }
    })

    app.setValidatorCompiler<ParameterSchema>(({ schema, httpPart }) => {
      const getValidator = lazyValidator(schema)
      const integerNames =
        httpPart === 'body'
          ? []
          : Object.entries(schema.properties ?? {})
              .filter(([, { type }]) => type === 'integer')
              .map(([name]) => name)
      const validate = (data: Record<string, unknown>) => {
        for (const name of integerNames) {
          if (INTEGER_PATTERN.test(String(data[name]))) data[name] = Number(data[name])
        }
        return getValidator()(data)
      }
      return Object.defineProperty(validate, 'errors', { get: () => getValidator().errors })
    })

    app.removeContentTypeParser(['application/json', 'text/plain'])
    // An empty body counts as none, whatever the Content-Type.
    app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
      if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
        done(
          new AppError(
            'unsupported_media_type',
            'Send the body uncompressed, without Content-Encoding.'
          ),
          undefined
        )
      } else if (body === '') done(null, undefined)
      else done(...parseJsonBody(body as string))
    })
  },
  { name: 'validation', dependencies: ['config'] }
)

/** `JSON.parse` makes `__proto__` an ordinary property, which validation then rejects as unknown. */
function parseJsonBody(body: string): [Error | null, unknown] {
  try {
    return [null, JSON.parse(body)]
  } catch {
    const problem = describeSyntaxError(body)
    const detail = `The body is not valid JSON${problem === undefined ? '' : `: ${problem}`}.`
    return [new AppError('invalid_json', detail), undefined]
  }
}
