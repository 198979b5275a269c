import type { FastifyInstance } from 'fastify'
import { acceptForms } from '../../src/http/form-body.ts'
import { continueRoutes } from './continue.ts'
import { linkRoutes } from './link.ts'

/** Pages in which a person connects an account to the user that a link or a login names. */
export default async function (app: FastifyInstance) {
  acceptForms(app)
  await app.register(linkRoutes)
  await app.register(continueRoutes)
}
