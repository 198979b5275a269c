import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { AppError } from '../../src/lib/errors.ts'
import { existingUser } from '../../src/oauth/resolve-user.ts'
import { prefixOf } from '../../src/http/pagination.ts'
import { providers, type Provider } from '../../src/providers/index.ts'
import { NotModified, Nullable, OptionalText, problems } from '../../src/http/schemas.ts'
import type { Standing } from '../../src/store/repositories/connections.ts'
import { isConnected } from '../connections/view.ts'
import { listOf } from '../items/lists.ts'
import { Owner, runRoutes } from './runs.ts'

const ConnectBody = Type.Object(
  {
    email: Type.Optional(
      Type.Union([
        Type.Null(),
        Type.String({ maxLength: 254, format: 'email', example: 'ada@example.com' })
      ])
    ),
    display_name: OptionalText(200, 'What to call the person', 'Ada Lovelace')
  },
  { additionalProperties: false }
)

const routes: FastifyPluginAsyncTypebox = async (app) => {
  for (const provider of providers) {
    await app.register(integration, { prefix: `/${provider.id}`, provider })
  }
}

const integration: FastifyPluginAsyncTypebox<{ provider: Provider }> = async (
  app,
  { provider }
) => {
  const { users, connections } = app.store

  app.post(
    '/connect',
    {
      config: { access: { scope: 'connections:write', owner: 'itself' } },
      schema: {
        tags: ['Integrations'],
        summary: `How to connect ${provider.title}: where to send the browser`,
        body: Type.Union([Type.Null(), ConnectBody]),
        response: {
          200: Type.Object({
            provider: Type.Literal(provider.id),
            base_url: Nullable(Type.String({ example: 'https://acme.atlassian.net' })),
            connected: Type.Boolean(),
            redirect_url: Type.String({ example: `/auth/${provider.id}/login` })
          }),
          ...problems(400, 413, 415, 422)
        }
      }
    },
    async (request) => {
      const { body, url } = request
      const { email, display_name: displayName } = (body ?? {}) as Static<typeof ConnectBody>
      const own = request.ownUser()
      if (own !== undefined && typeof email === 'string') {
        throw new AppError('forbidden', 'You connect your own account: leave the email out.')
      }
      const named =
        own !== undefined
          ? await existingUser(app.store, own)
          : typeof email === 'string'
            ? (await users.save(email, displayName ?? null)).user
            : undefined
      const user = named ?? (await users.first())
      const standing = user === undefined ? undefined : await connections.get(user.id, provider.id)
      const hint = named === undefined ? '' : `?state=${encodeURIComponent(`user_id=${named.id}`)}`
      return {
        provider: provider.id,
        base_url: baseUrl(standing),
        connected: standing !== undefined && isConnected(standing),
        redirect_url: `${prefixOf(url)}/auth/${provider.id}/login${hint}`
      }
    }
  )

  for (const collection of provider.collections) {
    const list = listOf(app, collection)
    app.get(
      `/${collection.name}/fetch`,
      {
        config: { access: { scope: 'data:read', owner: 'query.owner_id' } },
        schema: {
          tags: ['Integrations'],
          summary: `The stored ${collection.name} of an owner`,
          querystring: Type.Object({ ...Owner, ...list.query }, { additionalProperties: false }),
          response: {
            200: Type.Object({ provider: Type.Literal(provider.id), items: Type.Array(list.Item) }),
            304: NotModified,
            ...problems(400, 404, 422)
          }
        }
      },
      async (request, reply) => {
        const owner = await ownerOf(
          (request.query as { owner_id?: string }).owner_id,
          request.ownUser()
        )
        const items = owner === undefined ? [] : await list.page(owner, request, reply)
        return items === undefined ? undefined : { provider: provider.id, items }
      }
    )
  }

  await app.register(runRoutes, { prefix: '/sync', provider, ownerOf })

  /** The named owner, or who asks, or the first user; undefined where there is nobody. */
  async function ownerOf(
    ownerId: string | undefined,
    own: number | undefined
  ): Promise<number | undefined> {
    const named = own ?? ownerId
    return named === undefined
      ? (await users.first())?.id
      : (await existingUser(app.store, Number(named))).id
  }

  /** The connected site's address where there is exactly one; several are not chosen between. */
  function baseUrl(standing: Standing | undefined): string | null {
    const [site, another] = standing?.connection.bound ?? []
    const base = site !== undefined && another === undefined ? site.url : app.config.cloudBaseUrl
    return base === null
      ? null
      : `${base}${base.endsWith(provider.basePath) ? '' : provider.basePath}`
  }
}

export default routes
