import { Ajv } from 'ajv'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'
import { isEmail, isHttpUrl, isIsoDateTime, isStorableText } from '../src/lib/formats.ts'
import { memoizeBySchema } from '../src/http/compile-cache.ts'

const FORMAT_VALIDATORS: Record<string, (value: string) => boolean> = {
  text: isStorableText,
  email: isEmail,
  'http-url': isHttpUrl,
  instant: isIsoDateTime
}

const INTEGER_PATTERN = /^(0|[1-9]\d{0,15})$/

interface ParameterSchema {
  properties?: Record<string, { type?: string }>
}

/**
 * Nothing is coerced, nothing unknown is dropped. Where everything is text (path, query, headers) whole numbers are read
 * from it, in one spelling: Ajv's own coercion takes `0x10`, `1e2` and `true` for numbers.
 */
export default fp(
  async (app) => {
    const ajv = new Ajv({
      allErrors: true,
      removeAdditional: false,
      useDefaults: true,
      coerceTypes: false,
      formats: FORMAT_VALIDATORS,
      keywords: ['example']
    })
    const compileSchema = memoizeBySchema((schema) => ajv.compile(schema))
    app.setValidatorCompiler<ParameterSchema>(({ schema, httpPart }) => {
      const validate = compileSchema(schema)
      const integerNames =
        httpPart === 'body'
          ? []
          : Object.entries(schema.properties ?? {})
              .filter(([, { type }]) => type === 'integer')
              .map(([name]) => name)
      if (integerNames.length === 0) return validate
      const validateWithIntegers = (data: Record<string, unknown>) => {
        for (const name of integerNames) {
          if (INTEGER_PATTERN.test(String(data[name]))) data[name] = Number(data[name])
        }
        return validate(data)
      }
      return Object.defineProperty(validateWithIntegers, 'errors', { get: () => validate.errors })
    })

    app.removeContentTypeParser(['application/json', 'text/plain'])
    // A front end that sends the header and no body means no body.
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

/** `__proto__` becomes a property like any other here, and is refused by its name like any other that nobody knows. */
function parseJsonBody(body: string): [Error | null, unknown] {
  try {
    return [null, JSON.parse(body)]
  } catch {
    return [new AppError('invalid_json', 'The body is not valid JSON.'), undefined]
  }
}
