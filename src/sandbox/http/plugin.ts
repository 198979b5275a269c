import type { FastifyInstance } from 'fastify'
import { randomBytes, randomUUID } from 'node:crypto'
import type { World } from '../state.ts'
import admin from './admin.ts'
import authorize from './authorize.ts'
import { failed, notFound } from './errors.ts'
import { createRehearsal } from './faults.ts'
import gateway from './gateway.ts'
import { stamp } from './reply.ts'
import resources from './resources.ts'
import token from './token.ts'

export interface SandboxPluginOptions {
  world: World
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Path of a sandbox call below the prefix the sandbox is mounted under, without its query. */
    below: string
  }
}

/**
 * An offline stand-in for Atlassian Cloud: the pages of auth.atlassian.com and the API of api.atlassian.com under one prefix.
 *
 * Bodies arrive as bytes and are read as Atlassian reads them, so no schema, parser or error handler of the host shapes an
 * answer; and since this is no `fastify-plugin`, nothing of it reaches the host.
 */
export default async function sandbox(app: FastifyInstance, { world }: SandboxPluginOptions) {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setErrorHandler(failed)
  app.setNotFoundHandler(notFound(world))
  app.decorateRequest('below', '')
  app.decorateRequest('fault', undefined)
  app.addHook('onRequest', async (request, reply) => {
    const [path] = request.url.split('?')
    request.below = path.startsWith(app.prefix) ? path.slice(app.prefix.length) : path
    world.stats.connection(request.raw.socket)
    reply.headers({
      'atl-traceid': randomBytes(16).toString('hex'),
      'atl-request-id': randomUUID(),
      server: 'AtlassianEdge'
    })
  })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    stamp(reply, world)
    done()
  })
  const { rehearse, letGo } = createRehearsal(world)
  app.addHook('preHandler', rehearse)
  app.addHook('preClose', letGo)
  for (const routes of [authorize, token, resources, gateway, admin]) {
    await app.register(routes, { world })
  }
}
