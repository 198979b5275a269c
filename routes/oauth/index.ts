import type { FastifyInstance } from 'fastify'
import { callback } from '../auth/callback.ts'
import { pages } from './pages.ts'

/** The callback that serves both products, and the pages that stand in for a front end. */
export default async function (app: FastifyInstance) {
  await app.register(callback, { prefix: '/atlassian/callback', provider: undefined })
  if (app.config.frontendUrl === null) await app.register(pages)
}
