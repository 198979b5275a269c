import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { removeUser } from '../../src/connections/disconnect.ts'
import { isIdPosition, readCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { pageOf } from '../../src/http/pagination.ts'
import { Id, Nullable, OptionalText, Paging, PathId, problems } from '../../src/http/schemas.ts'
import { existingUser } from '../../src/oauth/resolve-user.ts'
import { MANAGE_APPS_URL } from '../../src/providers/atlassian.ts'
import type { UserRow } from '../../src/store/repositories/users.ts'
import { Copies, RemoveAppUrl } from '../connections/schema.ts'

const User = Type.Object({
  id: Id,
  email: Type.String({ example: 'ada@example.com' }),
  display_name: Nullable(Type.String({ example: 'Ada Lovelace' }))
})
const Email = Type.String({
  minLength: 3,
  maxLength: 254,
  format: 'email',
  description: 'One bare address',
  example: 'ada@example.com'
})
const UserBody = Type.Object(
  { email: Email, display_name: OptionalText(200, 'What to call the person', 'Ada Lovelace') },
  { additionalProperties: false }
)

const RemovedUser = Type.Object({
  id: Id,
  disconnected: Type.Array(Type.String({ example: 'jira' }), {
    description: 'The products that were connected'
  }),
  copies: Type.Union([Type.Literal('kept'), Type.Literal('erased')]),
  remove_app_url: RemoveAppUrl
})

/** Fields of the original that took a token from anybody who asked. */
const TOKEN_FIELDS = ['jira_token', 'confluence_token', 'jira_base_url', 'confluence_base_url']

const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { users } = app.store

  app.post(
    '',
    {
      config: { access: { scope: 'users:write' } },
      schema: {
        tags: ['Users'],
        summary: 'Create a user, or return the one with this email',
        body: UserBody,
        response: { 200: User, 201: User, ...problems(400, 413, 415, 422) }
      },
      preValidation: async ({ body }) => {
        refuseTokens(body)
      }
    },
    async ({ body }, reply) => {
      const { user, created } = await users.save(body.email, body.display_name ?? null)
      return await reply.code(created ? 201 : 200).send(view(user))
    }
  )

  app.get(
    '',
    {
      config: { access: { scope: 'users:read' } },
      schema: {
        tags: ['Users'],
        summary: 'List users, oldest first',
        querystring: Type.Object(Paging, { additionalProperties: false }),
        response: { 200: Type.Array(User), ...problems(400, 422) }
      }
    },
    async ({ query: { limit, cursor }, url }, reply) => {
      const rows = await users.list(limit + 1, readCursor(cursor, isIdPosition)?.[0])
      const { page, headers } = pageOf(rows, limit, url, ({ id }) => [id])
      reply.headers(headers)
      return page.map(view)
    }
  )

  app.get(
    '/:user_id',
    {
      config: { access: { scope: 'users:read', owner: 'params.user_id' } },
      schema: {
        tags: ['Users'],
        summary: 'Fetch a user',
        params: Type.Object({ user_id: PathId }),
        response: { 200: User, ...problems(404, 422) }
      }
    },
    async ({ params }) => {
      return view(await existingUser(app.store, Number(params.user_id)))
    }
  )

  app.delete(
    '/:user_id',
    {
      config: { access: { scope: 'users:write', owner: 'params.user_id' } },
      schema: {
        tags: ['Users'],
        summary:
          "Remove a user with every connection, every token and every copy; copies=keep leaves the copies, under nobody's name",
        params: Type.Object({ user_id: PathId }),
        querystring: Type.Object({ copies: Copies }, { additionalProperties: false }),
        response: { 200: RemovedUser, ...problems(400, 404, 413, 415, 422) }
      }
    },
    async ({ params, query: { copies }, log }) => {
      const { store, access, sync } = app
      const user = await existingUser(app.store, Number(params.user_id))
      const products = await removeUser(
        { store, access, stopRuns: sync.stopFor },
        user,
        copies === 'keep',
        log
      )
      return {
        id: user.id,
        disconnected: products,
        copies: copies === 'keep' ? ('kept' as const) : ('erased' as const),
        remove_app_url: MANAGE_APPS_URL
      }
    }
  )
}

export default routes

/** Row to wire: snake_case, and no token ever leaves. */
function view({ id, email, displayName }: UserRow) {
  return { id, email, display_name: displayName }
}

function refuseTokens(body: unknown): void {
  const given = TOKEN_FIELDS.filter(
    (name) => typeof body === 'object' && body !== null && Object.hasOwn(body, name)
  )
  if (given.length === 0) return
  throw new AppError(
    'validation_failed',
    'Tokens are not taken from callers. Connect through GET /auth/jira/login or /auth/confluence/login.',
    {
      errors: given.map((name) => ({
        pointer: `/${name}`,
        detail:
          'Connect through the OAuth flow instead: GET /auth/jira/login or /auth/confluence/login.'
      }))
    }
  )
}
