import { Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { takeTurns } from '../../src/http/fair-gate.ts'
import { createJsonStream } from '../../src/http/json-stream.ts'
import { requireUser } from '../../src/oauth/resolve-user.ts'
import { getAliasPrefix } from '../../src/http/pagination.ts'
import { Id, problemResponses } from '../../src/http/schemas.ts'
import { streamExport } from './export-document.ts'
import { createExportSchema } from './schema.ts'

export const autoPrefix = '/users/:user_id/export'

/** For clients that read a large document slowly. */
const EXPORT_TIMEOUT_MS = 3_600_000

/** Export of personal data (GDPR articles 15 and 20). */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '',
    {
      config: {
        access: { scope: 'personal-data:read', owner: 'params.user_id' },
        // A stream outlives the general limit.
        timeLimitMs: EXPORT_TIMEOUT_MS
      },
      schema: {
        tags: ['Users'],
        operationId: 'exportUser',
        summary:
          'Export all data stored about a user, except tokens and hashes, as one JSON document',
        params: Type.Object({ user_id: Id }),
        response: {
          200: {
            description:
              'The document, as a stream. If reading fails the connection is closed, ' +
              'and the part sent so far is not valid JSON',
            content: {
              'application/json': {
                schema: Type.Unsafe<Readable>(createExportSchema(app.providers))
              }
            }
          },
          ...problemResponses(404, 422)
        }
      }
    },
    async (request, reply) => {
      const { params, url, method, log } = request
      const user = await requireUser(app.store, params.user_id)
      reply.headers({
        'content-type': 'application/json; charset=utf-8',
        'content-disposition': `attachment; filename="user-${user.id}.json"`,
        'cache-control': 'no-store'
      })
      if (method === 'HEAD') return await reply.send(Readable.from([]))
      const close = app.fairShare.openExport(user.id)
      await app.store.audit
        .append({ action: 'data_exported', userId: user.id })
        .catch((error: unknown) => {
          close()
          throw error
        })
      log.info({ event: 'data_exported', user_id: user.id })
      const pieces = streamExport(app, user, getAliasPrefix(url))
      return await reply.send(
        createJsonStream(takeTurns(pieces, app.fairShare.readInTurn, user.id), {
          isStopping: app.isGraceOver,
          isAuthorized: request.isStillAuthorized.bind(request),
          log,
          abortedEvent: 'export_aborted',
          abortedMessage: 'The export could not be completed; the connection is closed.'
        }).once('close', close)
      )
    }
  )
}

export default routes
