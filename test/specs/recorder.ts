import type { FastifyInstance } from 'fastify'
import type { Exchange } from './documents.ts'

/** Records the API calls of a sandbox. Install it before the sandbox listens. */
export function recordExchanges(app: FastifyInstance, exchanges: Exchange[]) {
  app.addHook('onSend', async (request, reply, payload) => {
    const url = new URL(request.url, 'http://sandbox.invalid')
    const [, product = '', path = ''] = /^\/ex\/(\w+)\/[^/]+(\/.*)$/.exec(url.pathname) ?? []
    if (product === '') return payload
    exchanges.push({
      product,
      method: request.method,
      path,
      query: url.searchParams,
      requestBody: parseJson(request.body),
      status: reply.statusCode,
      body: String(reply.getHeader('content-type')).includes('application/json')
        ? parseJson(payload)
        : undefined
    })
    return payload
  })
}

function parseJson(bytes: unknown): unknown {
  if (!Buffer.isBuffer(bytes) || bytes.length === 0) return undefined
  return JSON.parse(bytes.toString())
}
