import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireUser } from '../../src/oauth/resolve-user.ts'
import type { Collection, Provider } from '../../src/providers/provider.ts'
import {
  Id,
  NotModified,
  problemResponses,
  toItemTypeName,
  toTypeName
} from '../../src/http/schemas.ts'
import { createItemList, LIST_TIMEOUT_MS } from './lists.ts'
import { createItemSchema, toItemResponse } from './schema.ts'

export const autoPrefix = '/'

/** `/jira/projects`, `/confluence/pages`: the routes of every collection of every product. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  for (const provider of app.providers.all) {
    for (const collection of provider.collections) {
      await app.register(itemRoutes, {
        prefix: `/${provider.id}/${collection.name}`,
        provider,
        collection
      })
    }
  }
}

const itemRoutes: FastifyPluginAsyncTypebox<{
  provider: Provider
  collection: Collection
}> = async (app, { provider, collection }) => {
  const name = toTypeName(provider.id)
  const ItemResponse = createItemSchema(collection)
  const itemList = createItemList(app, provider, collection)
  const { manualUpload } = collection

  if (manualUpload !== undefined) {
    const items = app.store.items(collection.name)
    app.post(
      '',
      {
        config: {
          access: { scope: 'data:write', owner: 'body.owner_id' },
          unknownQuery: 'ignored'
        },
        schema: {
          tags: ['Data'],
          operationId: `save${name}${toItemTypeName(collection.name)}`,
          summary: `Create or replace an item of ${collection.name}`,
          body: Type.Object(
            { owner_id: Id, ...manualUpload.body },
            { title: `${toItemTypeName(collection.name)}Upload`, additionalProperties: false }
          ),
          response: {
            200: ItemResponse,
            201: ItemResponse,
            ...problemResponses(400, 404, 413, 415, 422)
          }
        }
      },
      async ({ body }, reply) => {
        const { owner_id: ownerId, ...fields } = body as { owner_id: number } & Record<
          string,
          unknown
        >
        const { remoteId, item } = manualUpload.fromRequest(fields)
        const { row, created } = await items.save(ownerId, remoteId, item)
        return await reply.code(created ? 201 : 200).send(toItemResponse(collection, row))
      }
    )
  }

  app.get(
    '/:owner_id',
    {
      config: {
        access: { scope: 'data:read', owner: 'params.owner_id' },
        timeLimitMs: LIST_TIMEOUT_MS,
        ...itemList.queryConfig
      },
      schema: {
        tags: ['Data'],
        operationId: `list${name}${toTypeName(collection.name)}`,
        summary: `List an owner's ${collection.name}`,
        params: Type.Object({ owner_id: Id }),
        querystring: Type.Object(itemList.parameters),
        response: {
          200: Type.Array(itemList.ItemSchema),
          304: NotModified,
          ...problemResponses(400, 404, 422)
        }
      }
    },
    async (request, reply) => {
      const owner = await requireUser(app.store, request.params.owner_id)
      return await itemList.send(owner.id, request, reply)
    }
  )
}

export default routes
