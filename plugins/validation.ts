import { Ajv } from 'ajv'
import fp from 'fastify-plugin'
import { AppError } from '../src/lib/errors.ts'
import { isEmail, isHttpUrl, isInstant, isText } from '../src/lib/formats.ts'
import { oncePerSchema } from '../src/http/compile-cache.ts'

const FORMATS: Record<string, (value: string) => boolean> = {
  text: isText,
  email: isEmail,
  'http-url': isHttpUrl,
  instant: isInstant,
  id: (value) => Number.isSafeInteger(Number(value))
}

const WHOLE = /^(0|[1-9]\d{0,15})$/

interface Parameters {
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
      formats: FORMATS,
      keywords: ['example']
    })
    const compiled = oncePerSchema((schema) => ajv.compile(schema))
    app.setValidatorCompiler<Parameters>(({ schema, httpPart }) => {
      const validate = compiled(schema)
      const numbers =
        httpPart === 'body'
          ? []
          : Object.entries(schema.properties ?? {})
              .filter(([, { type }]) => type === 'integer')
              .map(([name]) => name)
      if (numbers.length === 0) return validate
      const reading = (data: Record<string, unknown>) => {
        for (const name of numbers) {
          if (WHOLE.test(String(data[name]))) data[name] = Number(data[name])
        }
        return validate(data)
      }
      return Object.defineProperty(reading, 'errors', { get: () => validate.errors })
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
      else done(...parsed(body as string))
    })
  },
  { name: 'validation', dependencies: ['config'] }
)

/** `__proto__` becomes a property like any other here, and is refused by its name like any other that nobody knows. */
function parsed(body: string): [Error | null, unknown] {
  try {
    return [null, JSON.parse(body)]
  } catch {
    return [new AppError('invalid_json', 'The body is not valid JSON.'), undefined]
  }
}
