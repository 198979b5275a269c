import { Ajv } from 'ajv'
import fp from 'fastify-plugin'
import { isEmail, isHttpUrl, isText } from '../src/formats.ts'

const FORMATS: Record<string, (value: string) => boolean> = {
  text: isText,
  email: isEmail,
  'http-url': isHttpUrl,
  id: (value) => Number.isSafeInteger(Number(value))
}

/**
 * Bodies are taken as they are: nothing is coerced, nothing unknown is dropped. Where everything is text (path, query,
 * headers) numbers and flags are read from it.
 */
export default fp(async (app) => {
  const options = { allErrors: true, removeAdditional: false, useDefaults: true, formats: FORMATS, keywords: ['example'] }
  const strict = new Ajv({ ...options, coerceTypes: false })
  const lenient = new Ajv({ ...options, coerceTypes: true })
  app.setValidatorCompiler(({ schema, httpPart }) => (httpPart === 'body' ? strict : lenient).compile(schema as object))

  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser(['application/json', 'text/plain'])
  // A front end that sends the header and no body means no body.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body === '') done(null, undefined)
    else parse(request, body as string, done)
  })
}, { name: 'validation', dependencies: ['config'] })
