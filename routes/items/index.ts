import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { existingUser } from '../../src/oauth/resolve-user.ts'
import { providers } from '../../src/providers/index.ts'
import type { Collection } from '../../src/providers/provider.ts'
import { Id, NotModified, PathId, problems } from '../../src/http/schemas.ts'
import { tableOf } from '../../src/sync/copy-collection.ts'
import { listOf, rowSchema, view } from './lists.ts'

export const autoPrefix = '/'

/** `/jira/projects`, `/confluence/pages`: one pair of routes for every collection of every product. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  for (const { id, collections } of providers) {
    for (const collection of collections) {
      await app.register(items, { prefix: `/${id}/${collection.name}`, collection })
    }
  }
}

const items: FastifyPluginAsyncTypebox<{ collection: Collection }> = async (
  app,
  { collection }
) => {
  const Row = rowSchema(collection)
  const list = listOf(app, collection)
  const { posting } = collection

  if (posting !== undefined) {
    const table = tableOf(app.store, collection.name)
    app.post(
      '',
      {
        config: { access: { scope: 'data:write', owner: 'body.owner_id' } },
        schema: {
          tags: ['Data'],
          summary: `Create or replace one of the ${collection.name} by hand`,
          body: Type.Object({ owner_id: Id, ...posting.body }, { additionalProperties: false }),
          response: { 200: Row, 201: Row, ...problems(400, 404, 413, 415, 422) }
        }
      },
      async ({ body }, reply) => {
        const { owner_id: ownerId, ...wire } = body as { owner_id: number } & Record<
          string,
          unknown
        >
        const { remoteId, item } = posting.fromWire(wire)
        const { row, created } = await table.save(ownerId, remoteId, item as never)
        return await reply.code(created ? 201 : 200).send(view(collection, row))
      }
    )
  }

  app.get(
    '/:owner_id',
    {
      config: { access: { scope: 'data:read', owner: 'params.owner_id' } },
      schema: {
        tags: ['Data'],
        summary: `List an owner's ${collection.name}`,
        params: Type.Object({ owner_id: PathId }),
        querystring: Type.Object(list.query, { additionalProperties: false }),
        response: { 200: Type.Array(list.Item), 304: NotModified, ...problems(400, 404, 422) }
      }
    },
    async (request, reply) => {
      const owner = await existingUser(app.store, Number(request.params.owner_id))
      return await list.page(owner.id, request, reply)
    }
  )
}

export default routes
