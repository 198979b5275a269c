import type { FastifyInstance } from 'fastify'
import { providers } from '../../src/providers/index.ts'
import { callbackRoute } from './callback.ts'
import { loginRoute } from './login.ts'

/** `/auth/<product>/login` and `/auth/<product>/callback`. */
export default async function (app: FastifyInstance) {
  for (const provider of providers) {
    await app.register(loginRoute, { prefix: `/${provider.id}/login`, provider })
    await app.register(callbackRoute, { prefix: `/${provider.id}/callback`, provider })
  }
}
