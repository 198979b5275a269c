import { Type } from '@sinclair/typebox'
import type { FastifyContextConfig } from 'fastify'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { checkConnection, chooseSites, connectionOf } from '../../src/connections/sites.ts'
import { disconnect } from '../../src/connections/disconnect.ts'
import { isIdPosition, readCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { existingUser } from '../../src/oauth/resolve-user.ts'
import { pageOf, prefixOf } from '../../src/http/pagination.ts'
import { MANAGE_APPS_URL } from '../../src/providers/atlassian.ts'
import { providers, type Provider } from '../../src/providers/index.ts'
import { Paging, PathId, problems } from '../../src/http/schemas.ts'
import {
  ConnectionsView,
  ConnectionView,
  Copies,
  HistoryView,
  OptionsBody,
  Removed,
  SiteBody
} from './schema.ts'
import { view, viewAll } from './view.ts'

export const autoPrefix = '/users/:user_id/connections'

const User = Type.Object({ user_id: PathId })
const CHANGING: FastifyContextConfig = {
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
        summary: "A user's connections, and how each of them is doing",
        params: User,
        response: { 200: ConnectionsView, ...problems(404, 422) }
      }
    },
    async ({ params, url }) => {
      const { id: userId } = await existingUser(store, Number(params.user_id))
      return { connections: await viewAll(app, userId, prefixOf(url)) }
    }
  )

  for (const provider of providers) {
    await app.register(connection, { prefix: `/${provider.id}`, provider })
  }
}

const connection: FastifyPluginAsyncTypebox<{ provider: Provider }> = async (app, { provider }) => {
  const { store, sites, sync, access } = app

  app.put(
    '/site',
    {
      config: CHANGING,
      schema: {
        tags: ['Connections'],
        summary: `Choose which ${provider.title} sites are copied, and copy them; what was copied from others is erased`,
        params: User,
        body: SiteBody,
        response: { 200: ConnectionView, ...problems(400, 404, 409, 413, 415, 422, 502) }
      }
    },
    async ({ params, body: { cloud_id: one, cloud_ids: several }, url, log: requestLog }) => {
      const log = requestLog.child({ provider: provider.id })
      const { id: userId } = await existingUser(store, Number(params.user_id))
      const standing = await chooseSites(
        sites,
        sync.stopFor,
        userId,
        provider,
        several ?? [one ?? ''],
        several === undefined ? '/cloud_id' : '/cloud_ids',
        log
      )
      await sync.start(userId, provider, log)
      return await view(app, standing, prefixOf(url))
    }
  )

  app.post(
    '/check',
    {
      config: CHANGING,
      schema: {
        tags: ['Connections'],
        summary: `Ask Atlassian whether the ${provider.title} connection works, and which sites it reaches now`,
        params: User,
        body: Type.Union([Type.Null(), Type.Object({}, { additionalProperties: false })]),
        response: { 200: ConnectionView, ...problems(400, 404, 409, 413, 415, 422, 502) }
      }
    },
    async ({ params, url, log }) => {
      const standing = await checkConnection(
        sites,
        (await existingUser(store, Number(params.user_id))).id,
        provider,
        log.child({ provider: provider.id })
      )
      return await view(app, standing, prefixOf(url))
    }
  )

  app.patch(
    '',
    {
      config: CHANGING,
      schema: {
        tags: ['Connections'],
        summary: `Choose what is copied of ${provider.title} besides the usual; what that changes is copied at once`,
        params: User,
        body: OptionsBody,
        response: { 200: ConnectionView, ...problems(400, 404, 413, 415, 422) }
      }
    },
    async ({ params, body: { page_bodies: pageBodies }, url, log }) => {
      const { id: userId } = await existingUser(store, Number(params.user_id))
      const { connection } = await connectionOf(store, userId, provider)
      await store.connections.choose(userId, provider.id, {
        ...connection.options,
        ...(pageBodies === undefined ? {} : { pageBodies })
      })
      await sync.start(userId, provider, log.child({ provider: provider.id }))
      return await view(app, await connectionOf(store, userId, provider), prefixOf(url))
    }
  )

  app.post(
    '/confirm-deletions',
    {
      config: CHANGING,
      schema: {
        tags: ['Connections'],
        summary:
          'Say that deletions which are held back are right; a full copy then decides on each',
        params: User,
        body: Type.Union([Type.Null(), Type.Object({}, { additionalProperties: false })]),
        response: { 200: ConnectionView, ...problems(400, 404, 409, 413, 415, 422) }
      }
    },
    async ({ params, url, log }) => {
      const { id: userId } = await existingUser(store, Number(params.user_id))
      const standing = await connectionOf(store, userId, provider)
      const confirmed = await store.audit.inSteps(function* (tx, tell) {
        const held = (yield store.checkpoints.confirming(userId, provider.id)(tx)).length
        if (held > 0) {
          tell({
            action: 'deletions_confirmed',
            userId,
            connectionId: standing.connection.id,
            product: provider.id
          })
        }
        return held
      })
      if (confirmed === 0) throw new AppError('no_held_deletions', 'No deletions are held back.')
      await sync.start(userId, provider, log.child({ provider: provider.id }), 'full')
      return await view(app, standing, prefixOf(url))
    }
  )

  app.get(
    '/history',
    {
      config: { access: { scope: 'connections:read', owner: 'params.user_id' } },
      schema: {
        tags: ['Connections'],
        summary: `How the state of the ${provider.title} connection has changed, newest first`,
        params: User,
        querystring: Type.Object(Paging, { additionalProperties: false }),
        response: { 200: HistoryView, ...problems(400, 404, 422) }
      }
    },
    async ({ params, query: { limit, cursor }, url }, reply) => {
      const { connection } = await connectionOf(
        store,
        (await existingUser(store, Number(params.user_id))).id,
        provider
      )
      const rows = await store.history.list(
        connection.id,
        limit + 1,
        readCursor(cursor, isIdPosition)?.[0]
      )
      const { page, headers } = pageOf(rows, limit, url, ({ id }) => [id])
      reply.headers(headers)
      return page.map((row) => ({ ...row, at: row.at.toISOString() }))
    }
  )

  app.delete(
    '',
    {
      config: CHANGING,
      schema: {
        tags: ['Connections'],
        summary: `End the ${provider.title} connection: its run, its tokens, and its copies`,
        params: User,
        querystring: Type.Object({ copies: Copies }, { additionalProperties: false }),
        response: { 200: Removed, ...problems(400, 404, 413, 415, 422) }
      }
    },
    async ({ params, query: { copies }, log }) => {
      const { id: userId } = await existingUser(store, Number(params.user_id))
      const { tokensErased } = await disconnect(
        { store, access, stopRuns: sync.stopFor, erasing: sites.erasing },
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
