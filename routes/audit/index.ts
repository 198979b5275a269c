import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { isIdPosition, readCursor } from '../../src/cursor.ts'
import { pageOf } from '../../src/paths.ts'
import { Id, Nullable, Paging, PathId, problems, Time } from '../../src/schemas.ts'
import { ACTIONS } from '../../src/store/audit.ts'

const Action = { type: 'string', enum: [...ACTIONS], example: 'connection_created' }

const Row = Type.Object({
  id: Id,
  at: Time,
  actor: Type.Object({
    kind: Type.String({ description: 'key, user, session, anybody, operator (a command on the machine) or service (nobody asked)', example: 'key' }),
    id: Nullable(Id),
    name: Nullable(Type.String({ example: 'crm' }))
  }),
  action: Type.Unsafe<string>(Action),
  user_id: Nullable(Id),
  connection_id: Nullable(Id),
  product: Nullable(Type.String({ example: 'jira' })),
  ip: Nullable(Type.String({ example: '203.0.113.7' })),
  request_id: Nullable(Type.String({ example: 'my-debug-123' })),
  detail: Nullable(Type.Object({}, { additionalProperties: true }))
})

/** Who did what. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('', {
    config: { access: { scope: 'admin' } },
    schema: {
      tags: ['Audit'],
      summary: 'Who did what to which connection, when and from where, newest first',
      querystring: Type.Object({
        ...Paging,
        limit: { ...Paging.limit, default: 100 },
        user_id: Type.Optional({ ...PathId, description: 'Only what is about this user' }),
        action: Type.Optional(Type.Unsafe<string>(Action)),
        since: Type.Optional(Type.String({ format: 'instant', maxLength: 40, description: 'Only what was done at this moment or later', example: '2026-11-23T12:00:00Z' }))
      }, { additionalProperties: false }),
      response: { 200: Type.Array(Row), ...problems(400, 422) }
    }
  }, async ({ query: { limit, cursor, user_id: userId, action, since }, url }, reply) => {
    const filter = { userId: userId === undefined ? undefined : Number(userId), action, since: since === undefined ? undefined : new Date(since) }
    const rows = await app.store.audit.list(filter, limit + 1, readCursor(cursor, isIdPosition)?.[0])
    const { page, headers } = pageOf(rows, limit, url, ({ seq }) => [seq])
    reply.headers(headers)
    return page.map(({ seq, at, actor, actorId, actorName, action, userId, connectionId, product, ip, requestId, detail }) => ({
      id: seq, at: at.toISOString(), actor: { kind: actor, id: actorId, name: actorName }, action, user_id: userId, connection_id: connectionId, product, ip, request_id: requestId, detail: detail === null ? null : JSON.parse(detail) as object
    }))
  })
}

export default routes
