import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { AppError } from '../../src/lib/errors.ts'
import { findNamedUser } from '../../src/oauth/named-user.ts'
import { requireUser } from '../../src/oauth/resolve-user.ts'
import { getAliasPrefix } from '../../src/http/pagination.ts'
import type { Provider } from '../../src/providers/provider.ts'
import {
  ListInfo,
  NotModified,
  Nullable,
  OptionalText,
  problemResponses,
  toTypeName
} from '../../src/http/schemas.ts'
import type { ConnectionWithGrant } from '../../src/store/repositories/connections.ts'
import { isConnected } from '../connections/view.ts'
import { createItemList, LIST_TIMEOUT_MS } from '../items/lists.ts'
import { OwnerQuery, runRoutes } from './runs.ts'

const ConnectBody = Type.Object(
  {
    email: Type.Optional(
      Type.Union([
        Type.Null(),
        Type.String({ maxLength: 254, format: 'email', example: 'ada@example.com' })
      ])
    ),
    display_name: OptionalText(200, 'Name of the user', 'Ada Lovelace')
  },
  { title: 'ConnectBody', additionalProperties: false }
)

const routes: FastifyPluginAsyncTypebox = async (app) => {
  for (const provider of app.providers.all) {
    await app.register(integrationRoutes, { prefix: `/${provider.id}`, provider })
  }
}

const integrationRoutes: FastifyPluginAsyncTypebox<{ provider: Provider }> = async (
  app,
  { provider }
) => {
  const { users, connections } = app.store
  const name = toTypeName(provider.id)

  app.post(
    '/connect',
    {
      config: {
        access: { scope: 'connections:write', owner: 'caller' },
        unknownQuery: 'ignored'
      },
      schema: {
        tags: ['Integrations'],
        operationId: `connect${name}`,
        summary: `Prepare a ${provider.title} login: returns the URL to send the browser to`,
        body: Type.Union([Type.Null(), ConnectBody]),
        response: {
          200: Type.Object(
            {
              provider: Type.Literal(provider.id),
              base_url: Nullable(Type.String({ example: 'https://acme.atlassian.net' })),
              connected: Type.Boolean(),
              redirect_url: Type.String({ example: `/auth/${provider.id}/login` })
            },
            { title: `${name}ConnectResult` }
          ),
          ...problemResponses(400, 404, 413, 415, 422)
        }
      }
    },
    async (request) => {
      const { body, url } = request
      const { email, display_name: displayName } = (body ?? {}) as Static<typeof ConnectBody>
      const restrictedUserId = request.restrictedUserId()
      if (restrictedUserId !== undefined && typeof email === 'string') {
        throw new AppError('forbidden', 'You can connect only your own account: omit `email`.')
      }
      const namedUser =
        restrictedUserId !== undefined
          ? await requireUser(app.store, restrictedUserId)
          : typeof email === 'string'
            ? await findNamedUser(app.store, request.principal, email, displayName ?? null)
            : undefined
      const user = namedUser ?? (await users.findFirst())
      const current = user === undefined ? undefined : await connections.get(user.id, provider.id)
      const hint =
        namedUser === undefined ? '' : `?state=${encodeURIComponent(`user_id=${namedUser.id}`)}`
      return {
        provider: provider.id,
        base_url: getProductBaseUrl(current),
        connected: current !== undefined && isConnected(current),
        redirect_url: `${getAliasPrefix(url)}/auth/${provider.id}/login${hint}`
      }
    }
  )

  for (const collection of provider.collections) {
    const itemList = createItemList(app, provider, collection)
    app.get(
      `/${collection.name}/fetch`,
      {
        config: {
          access: { scope: 'data:read', owner: 'query.owner_id' },
          timeLimitMs: LIST_TIMEOUT_MS,
          ...itemList.queryConfig
        },
        schema: {
          tags: ['Integrations'],
          operationId: `fetch${name}${toTypeName(collection.name)}`,
          summary: `Fetch an owner's copied ${provider.title} ${collection.name}`,
          querystring: Type.Object({ ...OwnerQuery, ...itemList.parameters }),
          response: {
            200: Type.Object(
              {
                provider: Type.Literal(provider.id),
                ...ListInfo,
                items: Type.Array(itemList.ItemSchema)
              },
              { title: `${name}${toTypeName(collection.name)}Result` }
            ),
            304: NotModified,
            ...problemResponses(400, 404, 422)
          }
        }
      },
      async (request, reply) => {
        const resolvedOwnerId = await resolveOwnerId(
          (request.query as { owner_id?: number }).owner_id,
          request.restrictedUserId()
        )
        return await itemList.send(
          resolvedOwnerId,
          request,
          reply,
          ({ total, asOf, syncState }) => ({
            provider: provider.id,
            total,
            as_of: asOf,
            sync_state: syncState
          })
        )
      }
    )
  }

  await app.register(runRoutes, { prefix: '/sync', provider, resolveOwnerId })

  /**
   * The caller if restricted to itself, else the requested owner, else the first user; undefined
   * if there is no user.
   */
  async function resolveOwnerId(
    ownerId: number | undefined,
    restrictedUserId: number | undefined
  ): Promise<number | undefined> {
    const requestedId = restrictedUserId ?? ownerId
    return requestedId === undefined
      ? (await users.findFirst())?.id
      : (await requireUser(app.store, requestedId)).id
  }

  /** The product's URL on the connected site if there is exactly one, else on the configured site. */
  function getProductBaseUrl(current: ConnectionWithGrant | undefined): string | null {
    const [site, another] = current?.connection.selectedSites ?? []
    const baseUrl = site !== undefined && another === undefined ? site.url : app.config.cloudBaseUrl
    return baseUrl === null
      ? null
      : `${baseUrl}${baseUrl.endsWith(provider.basePath) ? '' : provider.basePath}`
  }
}

export default routes
