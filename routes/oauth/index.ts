import type { FastifyInstance } from 'fastify'
import { callbackRoute } from '../auth/callback.ts'
import { outcomePages } from './pages.ts'

/** The callback that serves every product, and pages for services without a front end. */
export default async function (app: FastifyInstance) {
  await app.register(callbackRoute, { prefix: '/atlassian/callback', provider: undefined })
  if (app.config.frontendUrl === null) await app.register(outcomePages)
}
