import type { FastifyInstance } from 'fastify'
import { callbackRoute } from './callback.ts'
import { loginRoute } from './login.ts'

/** `/auth/<product>/login` and `/auth/<product>/callback`. */
export default async function (app: FastifyInstance) {
  for (const provider of app.providers.all) {
    await app.register(loginRoute, { prefix: `/${provider.id}/login`, provider })
    await app.register(callbackRoute, { prefix: `/${provider.id}/callback`, provider })
  }
}
