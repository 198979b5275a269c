import { Type } from '@sinclair/typebox'
import type { FastifyContextConfig } from 'fastify'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { checkConnection, selectSites, requireConnection } from '../../src/connections/sites.ts'
import { disconnect } from '../../src/connections/disconnect.ts'
import { isIdPosition, decodeCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { requireUser } from '../../src/oauth/resolve-user.ts'
import { paginate, getAliasPrefix } from '../../src/http/pagination.ts'
import { MANAGE_APPS_URL } from '../../src/providers/atlassian.ts'
import type { Provider } from '../../src/providers/provider.ts'
import {
  EmptyBody,
  Id,
  PaginationParameters,
  problemResponses,
  toTypeName
} from '../../src/http/schemas.ts'
import {
  createConnectionListSchema,
  createConnectionSchema,
  CopiesParameter,
  HistoryResponse,
  createOptionsBody,
  DisconnectResponse,
  SiteBody
} from './schema.ts'
import { toConnectionResponse, listConnectionResponses } from './view.ts'

export const autoPrefix = '/users/:user_id/connections'

const UserParams = Type.Object({ user_id: Id })
const WRITE_ACCESS: FastifyContextConfig = {
  access: { scope: 'connections:write', owner: 'params.user_id' }
}

const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { store } = app

  app.get(
    '',
    {
      config: { access: { scope: 'connections:read', owner: 'params.user_id', session: true } },
      schema: {
        tags: ['Connections'],
        operationId: 'listConnections',
        summary: "List a user's connections and their states",
        params: UserParams,
        response: { 200: createConnectionListSchema(app.providers), ...problemResponses(404, 422) }
      }
    },
    async ({ params, url }) => {
      const { id: userId } = await requireUser(store, params.user_id)
      return { connections: await listConnectionResponses(app, userId, getAliasPrefix(url)) }
    }
  )

  for (const provider of app.providers.all) {
    await app.register(connectionRoutes, { prefix: `/${provider.id}`, provider })
  }
}

const connectionRoutes: FastifyPluginAsyncTypebox<{ provider: Provider }> = async (
  app,
  { provider }
) => {
  const { store, siteContext, syncWorker, tokenProvider } = app
  const name = toTypeName(provider.id)
  const ConnectionResponse = createConnectionSchema(app.providers)

  app.put(
    '/site',
    {
      config: WRITE_ACCESS,
      schema: {
        tags: ['Connections'],
        operationId: `select${name}Sites`,
        summary: `Select the ${provider.title} sites to copy, erase copies of others, and start a sync`,
        params: UserParams,
        body: SiteBody,
        response: {
          200: ConnectionResponse,
          ...problemResponses(400, 404, 409, 413, 415, 422, 502)
        }
      }
    },
    async ({ params, body: { cloud_id: cloudId, cloud_ids: cloudIds }, url, log: requestLog }) => {
      const log = requestLog.child({ provider: provider.id })
      const { id: userId } = await requireUser(store, params.user_id)
      const updated = await selectSites(
        siteContext,
        syncWorker.cancelForOwner,
        userId,
        provider,
        cloudIds ?? [cloudId ?? ''],
        cloudIds === undefined ? '/cloud_id' : '/cloud_ids',
        log
      )
      await syncWorker.enqueueRun(userId, provider, log)
      return await toConnectionResponse(app, updated, getAliasPrefix(url))
    }
  )

  app.post(
    '/check',
    {
      config: WRITE_ACCESS,
      schema: {
        tags: ['Connections'],
        operationId: `check${name}Connection`,
        summary: `Ask Atlassian whether the ${provider.title} connection works and which sites it covers`,
        params: UserParams,
        body: EmptyBody,
        response: {
          200: ConnectionResponse,
          ...problemResponses(400, 404, 409, 413, 415, 422, 502)
        }
      }
    },
    async ({ params, url, log }) => {
      const checked = await checkConnection(
        siteContext,
        (await requireUser(store, params.user_id)).id,
        provider,
        log.child({ provider: provider.id })
      )
      return await toConnectionResponse(app, checked, getAliasPrefix(url))
    }
  )

  app.patch(
    '',
    {
      config: WRITE_ACCESS,
      schema: {
        tags: ['Connections'],
        operationId: `update${name}Connection`,
        summary: `Set the options of the ${provider.title} connection, and start a sync`,
        params: UserParams,
        body: createOptionsBody(provider),
        response: { 200: ConnectionResponse, ...problemResponses(400, 404, 413, 415, 422) }
      }
    },
    async ({ params, body, url, log }) => {
      const { id: userId } = await requireUser(store, params.user_id)
      const { connection } = await requireConnection(store, userId, provider)
      await store.connections.setOptions(userId, provider.id, {
        ...connection.options,
        ...body
      })
      await syncWorker.enqueueRun(userId, provider, log.child({ provider: provider.id }))
      return await toConnectionResponse(
        app,
        await requireConnection(store, userId, provider),
        getAliasPrefix(url)
      )
    }
  )

  app.post(
    '/confirm-deletions',
    {
      config: WRITE_ACCESS,
      schema: {
        tags: ['Connections'],
        operationId: `confirm${name}Deletions`,
        summary: 'Confirm held deletions; a full sync then checks each of them',
        params: UserParams,
        body: EmptyBody,
        response: { 200: ConnectionResponse, ...problemResponses(400, 404, 409, 413, 415, 422) }
      }
    },
    async ({ params, url, log }) => {
      const { id: userId } = await requireUser(store, params.user_id)
      const current = await requireConnection(store, userId, provider)
      const confirmedCount = await store.audit.runAudited(function* (tx, record) {
        const heldCount = (yield store.checkpoints.confirmStatement(userId, provider.id)(tx)).length
        if (heldCount > 0) {
          record({
            action: 'deletions_confirmed',
            userId,
            connectionId: current.connection.id,
            product: provider.id
          })
        }
        return heldCount
      })
      if (confirmedCount === 0) {
        throw new AppError('no_held_deletions', 'No deletions are on hold.')
      }
      await syncWorker.enqueueRun(userId, provider, log.child({ provider: provider.id }), 'full')
      return await toConnectionResponse(app, current, getAliasPrefix(url))
    }
  )

  app.get(
    '/history',
    {
      config: { access: { scope: 'connections:read', owner: 'params.user_id' } },
      schema: {
        tags: ['Connections'],
        operationId: `list${name}ConnectionHistory`,
        summary: `List the state changes of the ${provider.title} connection, newest first`,
        params: UserParams,
        querystring: Type.Object(PaginationParameters, { additionalProperties: false }),
        response: { 200: HistoryResponse, ...problemResponses(400, 404, 422) }
      }
    },
    async ({ params, query: { limit, cursor }, url }, reply) => {
      const { connection } = await requireConnection(
        store,
        (await requireUser(store, params.user_id)).id,
        provider
      )
      const rows = await store.connectionHistory.list(
        connection.id,
        limit + 1,
        decodeCursor(cursor, isIdPosition)?.[0]
      )
      const { page, headers } = paginate(rows, limit, url, ({ id }) => [id])
      reply.headers(headers)
      return page.map((row) => ({ ...row, at: row.at.toISOString() }))
    }
  )

  app.delete(
    '',
    {
      config: WRITE_ACCESS,
      schema: {
        tags: ['Connections'],
        operationId: `disconnect${name}`,
        summary: `Disconnect ${provider.title}: ends the sync run and erases the tokens and the copied items`,
        params: UserParams,
        querystring: Type.Object({ copies: CopiesParameter }, { additionalProperties: false }),
        response: { 200: DisconnectResponse, ...problemResponses(400, 404, 413, 415, 422) }
      }
    },
    async ({ params, query: { copies }, log }) => {
      const { id: userId } = await requireUser(store, params.user_id)
      const { tokensErased } = await disconnect(
        {
          store,
          tokenProvider,
          stopRuns: syncWorker.cancelForOwner,
          eraseCopiesStatements: siteContext.eraseCopiesStatements
        },
        userId,
        provider,
        copies === 'keep',
        log.child({ provider: provider.id })
      )
      return {
        product: provider.id,
        copies: copies === 'keep' ? ('kept' as const) : ('erased' as const),
        tokens: tokensErased ? ('erased' as const) : ('kept' as const),
        remove_app_url: MANAGE_APPS_URL
      }
    }
  )
}

export default routes
