import type { FastifyInstance } from 'fastify'
import { providers } from '../../src/providers/index.ts'
import { callback } from './callback.ts'
import { login } from './login.ts'

/** `/auth/jira/…`, `/auth/confluence/…`: the same two routes for every product. */
export default async function (app: FastifyInstance) {
  for (const provider of providers) {
    await app.register(login, { prefix: `/${provider.id}/login`, provider })
    await app.register(callback, { prefix: `/${provider.id}/callback`, provider })
  }
}
