import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { AppError } from '../../src/errors.ts'
import { existingUser } from '../../src/oauth/owner.ts'
import { prefixOf } from '../../src/paths.ts'
import { providers, type Provider } from '../../src/providers/index.ts'
import { Id, Nullable, OptionalText, Paging, PathId, problems } from '../../src/schemas.ts'
import type { Standing } from '../../src/store/connections.ts'
import type { Run } from '../../src/store/runs.ts'
import { isConnected } from '../connections/view.ts'
import { listItems, rowSchema } from '../items/lists.ts'

const Owner = { owner_id: Type.Optional({ ...PathId, description: 'Default: the first user' }) }
const ConnectBody = Type.Object({
  email: Type.Optional(Type.Union([Type.Null(), Type.String({ maxLength: 254, format: 'email', example: 'ada@example.com' })])),
  display_name: OptionalText(200, 'What to call the person', 'Ada Lovelace')
}, { additionalProperties: false })

const Time = Type.String({ description: 'ISO 8601, UTC', example: '2026-11-23T12:00:00.000Z' })
const RunView = Type.Object({
  id: Id,
  product: Type.String({ example: 'jira' }),
  owner_id: Id,
  state: Type.Union(['queued', 'running', 'succeeded', 'failed'].map((state) => Type.Literal(state))),
  counts: Type.Object({
    seen: Type.Integer({ description: 'Items read from Atlassian' }),
    added: Type.Integer(),
    changed: Type.Integer(),
    unchanged: Type.Integer(),
    upstream_calls: Type.Integer()
  }),
  error: Nullable(Type.Object({ code: Type.String({ example: 'upstream_timeout' }), detail: Type.String({ example: 'Atlassian did not answer in time.' }) })),
  created_at: Time,
  started_at: Nullable(Time),
  finished_at: Nullable(Time)
})

const routes: FastifyPluginAsyncTypebox = async (app) => {
  for (const provider of providers) await app.register(integration, { prefix: `/${provider.id}`, provider })
}

const integration: FastifyPluginAsyncTypebox<{ provider: Provider }> = async (app, { provider }) => {
  const { users, connections, runs } = app.store

  app.post('/connect', {
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
  }, async ({ body, url }) => {
    const { email, display_name: displayName } = (body ?? {}) as Static<typeof ConnectBody>
    const named = typeof email === 'string' ? (await users.save(email, displayName ?? null)).user : undefined
    const user = named ?? await users.first()
    const standing = user === undefined ? undefined : await connections.get(user.id, provider.id)
    const hint = named === undefined ? '' : `?state=${encodeURIComponent(`user_id=${named.id}`)}`
    return {
      provider: provider.id,
      base_url: baseUrl(standing),
      connected: standing !== undefined && isConnected(standing),
      redirect_url: `${prefixOf(url)}/auth/${provider.id}/login${hint}`
    }
  })

  for (const collection of provider.collections) {
    app.get(`/${collection.name}/fetch`, {
      schema: {
        tags: ['Integrations'],
        summary: `The stored ${collection.name} of an owner`,
        querystring: Type.Object({ ...Owner, ...Paging }, { additionalProperties: false }),
        response: { 200: Type.Object({ provider: Type.Literal(provider.id), items: Type.Array(rowSchema(collection)) }), ...problems(400, 404, 422) }
      }
    }, async (request, reply) => {
      const owner = await ownerOf(request.query.owner_id)
      return { provider: provider.id, items: owner === undefined ? [] : await listItems(app, collection, owner, request, reply) }
    })
  }

  app.post('/sync', {
    schema: {
      tags: ['Integrations'],
      summary: `Copy what the owner's ${provider.title} connection reaches; joins a run that is under way`,
      querystring: Type.Object(Owner, { additionalProperties: false }),
      body: Type.Union([Type.Null(), Type.Object({}, { additionalProperties: false })]),
      response: { 202: RunView, ...problems(400, 404, 409, 413, 415, 422) }
    }
  }, async ({ query, url, log }, reply) => {
    const owner = await ownerOf(query.owner_id)
    if (owner === undefined) throw new AppError('user_not_found', 'There is no user yet.')
    const run = await app.sync.start(owner, provider, log.child({ provider: provider.id }))
    return await reply.code(202).header('location', `${prefixOf(url)}/integrations/${provider.id}/sync/runs/${run.id}`).send(view(run))
  })

  app.get('/sync/runs/:id', {
    schema: {
      tags: ['Integrations'],
      summary: 'How a run is doing',
      params: Type.Object({ id: PathId }),
      response: { 200: RunView, ...problems(404, 422) }
    }
  }, async ({ params }) => {
    const run = await runs.get(Number(params.id), provider.id)
    if (run === undefined) throw new AppError('run_not_found', `No ${provider.title} run has this id.`)
    return view(run)
  })

  /** The named owner, or the first user; undefined where there is nobody. */
  async function ownerOf (ownerId: string | undefined): Promise<number | undefined> {
    return ownerId === undefined ? (await users.first())?.id : (await existingUser(app.store, Number(ownerId))).id
  }

  /** The connected site's address where there is exactly one; several are not chosen between. */
  function baseUrl (standing: Standing | undefined): string | null {
    const [site, another] = standing?.connection.bound ?? []
    const base = site !== undefined && another === undefined ? site.url : app.config.cloudBaseUrl
    return base === null ? null : `${base}${base.endsWith(provider.basePath) ? '' : provider.basePath}`
  }
}

export default routes

function view (run: Run) {
  return {
    id: run.id,
    product: run.provider,
    owner_id: run.ownerId,
    state: run.state,
    counts: { seen: run.seen, added: run.added, changed: run.changed, unchanged: run.seen - run.added - run.changed, upstream_calls: run.calls },
    error: run.errorCode === null ? null : { code: run.errorCode, detail: run.errorDetail ?? '' },
    created_at: run.createdAt.toISOString(),
    started_at: run.startedAt?.toISOString() ?? null,
    finished_at: run.finishedAt?.toISOString() ?? null
  }
}
