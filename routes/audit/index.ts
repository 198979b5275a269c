import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { isIdPosition, decodeCursor } from '../../src/http/cursor.ts'
import { paginate } from '../../src/http/pagination.ts'
import { Id, PaginationParameters, problemResponses } from '../../src/http/schemas.ts'
import { ActionSchema, AuditResponse, toAuditResponse } from './view.ts'

/** Audit log. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '',
    {
      config: { access: { scope: 'admin' } },
      schema: {
        tags: ['Audit'],
        operationId: 'listAuditEntries',
        summary: 'List audit entries, newest first',
        querystring: Type.Object(
          {
            ...PaginationParameters,
            limit: { ...PaginationParameters.limit, default: 100 },
            user_id: Type.Optional({ ...Id, description: 'Only entries about this user' }),
            action: Type.Optional(Type.Unsafe<string>(ActionSchema)),
            since: Type.Optional(
              Type.String({
                format: 'instant',
                maxLength: 40,
                description: 'Only entries of this time or later',
                example: '2026-11-23T12:00:00Z'
              })
            )
          },
          { additionalProperties: false }
        ),
        response: { 200: Type.Array(AuditResponse), ...problemResponses(400, 422) }
      }
    },
    async ({ query: { limit, cursor, user_id: userId, action, since }, url }, reply) => {
      const filter = {
        userId,
        action,
        since: since === undefined ? undefined : new Date(since)
      }
      const rows = await app.store.audit.list(
        filter,
        limit + 1,
        decodeCursor(cursor, isIdPosition)?.[0]
      )
      const { page, headers } = paginate(rows, limit, url, ({ seq }) => [seq])
      reply.headers(headers)
      return page.map(toAuditResponse)
    }
  )
}

export default routes
