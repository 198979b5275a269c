import type { FastifyInstance } from 'fastify'
import { randomBytes, randomUUID } from 'node:crypto'
import admin from './admin.ts'
import authorizeRoutes from './authorize.ts'
import { sendError, createNotFoundHandler } from './errors.ts'
import { createFaultInjector } from './faults.ts'
import gateway from './gateway.ts'
import type { SandboxPluginOptions } from './options.ts'
import { setDateHeader } from './reply.ts'
import resourceRoutes from './resources.ts'
import tokenRoutes from './token.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Path of a call below the prefix of the sandbox, without its query. */
    pathBelowPrefix: string
  }
}

/**
 * An offline stand-in for Atlassian Cloud: the pages of auth.atlassian.com and the API of
 * api.atlassian.com under one prefix.
 *
 * Bodies arrive as bytes and are parsed as Atlassian parses them, so no schema, parser or error
 * handler of the host affects a response. It is not wrapped in `fastify-plugin`, so nothing of
 * it reaches the host.
 */
export default async function sandboxPlugin(app: FastifyInstance, { state }: SandboxPluginOptions) {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setErrorHandler(sendError)
  app.setNotFoundHandler(createNotFoundHandler(state))
  app.decorateRequest('pathBelowPrefix', '')
  app.decorateRequest('fault', undefined)
  app.addHook('onRequest', async (request, reply) => {
    const [path = ''] = request.url.split('?')
    request.pathBelowPrefix = path.startsWith(app.prefix) ? path.slice(app.prefix.length) : path
    state.stats.recordConnection(request.raw.socket)
    reply.headers({
      'atl-traceid': randomBytes(16).toString('hex'),
      'atl-request-id': randomUUID(),
      server: 'AtlassianEdge'
    })
  })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    setDateHeader(reply, state)
    done()
  })
  const { injectFault, hangUntilClosed, releaseHanging } = createFaultInjector(state)
  app.addHook('preHandler', injectFault)
  app.addHook('preClose', releaseHanging)
  for (const routes of [authorizeRoutes, tokenRoutes, resourceRoutes, gateway, admin]) {
    await app.register(routes, { state, hangUntilClosed })
  }
}
