import { Type } from '@sinclair/typebox'
import { exampleProvider } from '../../src/providers/index.ts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { removeUser } from '../../src/connections/erasure.ts'
import { isIdPosition, decodeCursor } from '../../src/http/cursor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { paginate } from '../../src/http/pagination.ts'
import { Id, OptionalText, PaginationParameters, problemResponses } from '../../src/http/schemas.ts'
import { requireUser } from '../../src/oauth/resolve-user.ts'
import { MANAGE_APPS_URL } from '../../src/providers/atlassian.ts'
import type { UserRow } from '../../src/store/repositories/users.ts'
import { CopiesParameter, RemoveAppUrlSchema } from '../connections/schema.ts'
import { UserResponse } from './schema.ts'

const EmailSchema = Type.String({
  minLength: 3,
  maxLength: 254,
  format: 'email',
  description: 'One bare email address',
  example: 'ada@example.com'
})
const UserBody = Type.Object(
  {
    email: EmailSchema,
    display_name: OptionalText(200, 'Name of the user', 'Ada Lovelace')
  },
  { title: 'UserBody', additionalProperties: false }
)

const RemovedUserResponse = Type.Object(
  {
    id: Id,
    disconnected: Type.Array(Type.String({ example: exampleProvider.id }), {
      description: 'Products that were connected'
    }),
    copies: Type.Union([Type.Literal('kept'), Type.Literal('erased')]),
    remove_app_url: RemoveAppUrlSchema
  },
  { title: 'RemovedUser' }
)

/** Token fields that the original service accepted from callers; this one rejects them. */
const TOKEN_FIELDS = ['jira_token', 'confluence_token', 'jira_base_url', 'confluence_base_url']

const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { users } = app.store

  app.post(
    '',
    {
      config: { access: { scope: 'users:write' }, unknownQuery: 'ignored' },
      schema: {
        tags: ['Users'],
        operationId: 'createUser',
        summary: 'Create a user, or return the one with this email',
        body: UserBody,
        response: { 200: UserResponse, 201: UserResponse, ...problemResponses(400, 413, 415, 422) }
      },
      preValidation: async ({ body }) => {
        rejectTokenFields(body)
      }
    },
    async ({ body }, reply) => {
      const { user, created } = await users.findOrCreate(body.email, body.display_name ?? null)
      return await reply.code(created ? 201 : 200).send(toUserResponse(user))
    }
  )

  app.get(
    '',
    {
      config: { access: { scope: 'users:read' }, unknownQuery: 'ignored' },
      schema: {
        tags: ['Users'],
        operationId: 'listUsers',
        summary: 'List users, oldest first',
        querystring: Type.Object(PaginationParameters),
        response: { 200: Type.Array(UserResponse), ...problemResponses(400, 422) }
      }
    },
    async ({ query: { limit, cursor }, url }, reply) => {
      const rows = await users.list(limit + 1, decodeCursor(cursor, isIdPosition)?.[0])
      const { page, headers } = paginate(rows, limit, url, ({ id }) => [id])
      reply.headers(headers)
      return page.map(toUserResponse)
    }
  )

  app.get(
    '/:user_id',
    {
      config: {
        access: { scope: 'users:read', owner: 'params.user_id' },
        unknownQuery: 'ignored'
      },
      schema: {
        tags: ['Users'],
        operationId: 'getUser',
        summary: 'Get a user',
        params: Type.Object({ user_id: Id }),
        response: { 200: UserResponse, ...problemResponses(404, 422) }
      }
    },
    async ({ params }) => {
      return toUserResponse(await requireUser(app.store, params.user_id))
    }
  )

  app.delete(
    '/:user_id',
    {
      config: { access: { scope: 'users:write', owner: 'params.user_id' } },
      schema: {
        tags: ['Users'],
        operationId: 'deleteUser',
        summary:
          'Delete a user with all connections, tokens and copied items; `copies=keep` ' +
          'keeps the items without an owner',
        params: Type.Object({ user_id: Id }),
        querystring: Type.Object({ copies: CopiesParameter }, { additionalProperties: false }),
        response: { 200: RemovedUserResponse, ...problemResponses(400, 404, 413, 415, 422) }
      }
    },
    async ({ params, query: { copies }, log }) => {
      const { store, providers, tokenProvider, syncWorker } = app
      const user = await requireUser(app.store, params.user_id)
      const products = await removeUser(
        { store, providers, tokenProvider, stopRuns: syncWorker.cancelForOwner },
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

function toUserResponse({ id, email, displayName }: UserRow) {
  return { id, email, display_name: displayName }
}

function rejectTokenFields(body: unknown): void {
  const sentFields = TOKEN_FIELDS.filter(
    (name) => typeof body === 'object' && body !== null && Object.hasOwn(body, name)
  )
  if (sentFields.length === 0) return
  throw new AppError(
    'validation_failed',
    'The service does not accept tokens. Connect through GET /auth/jira/login or /auth/confluence/login.',
    {
      errors: sentFields.map((name) => ({
        pointer: `/${name}`,
        detail:
          'Connect through the OAuth flow instead: GET /auth/jira/login or /auth/confluence/login.'
      }))
    }
  )
}
