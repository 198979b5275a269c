import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { linkSecret, createSecret, SESSION } from '../../src/access/secrets.ts'
import { hashSecret } from '../../src/lib/secret.ts'
import { AppError } from '../../src/lib/errors.ts'
import { findNamedUser } from '../../src/oauth/named-user.ts'
import { requireUser } from '../../src/oauth/resolve-user.ts'
import {
  findRedirectUriWithBaseUrl,
  frontendBaseUrl,
  publicBaseUrl
} from '../../src/http/public-url.ts'
import { requireReturnUrl } from '../../src/http/return-url.ts'
import { exampleProvider } from '../../src/providers/index.ts'
import type { ProviderRegistry } from '../../src/providers/registry.ts'
import { Id, problemResponses, ReturnUrl, Timestamp } from '../../src/http/schemas.ts'
import { endSession } from './end.ts'

const createProductSchema = ({ all }: ProviderRegistry) =>
  Type.Unsafe<string>({
    type: 'string',
    enum: all.map(({ id }) => id),
    example: exampleProvider.id
  })
const createBodySchema = (providers: ProviderRegistry) =>
  Type.Object(
    {
      user: Type.Union([Id, Type.String({ minLength: 3, maxLength: 254, format: 'email' })], {
        description:
          'Id of a user, or an email. An email needs the scope `users:read`; an unknown one creates ' +
          'a user and needs `users:write`',
        example: 1
      }),
      products: Type.Optional(
        Type.Array(createProductSchema(providers), {
          minItems: 1,
          maxItems: providers.all.length,
          uniqueItems: true,
          description: 'Products that may be connected. Default: all'
        })
      ),
      return_url: Type.Optional(ReturnUrl)
    },
    { title: 'ConnectSessionBody', additionalProperties: false }
  )

const createResponseSchema = (providers: ProviderRegistry) =>
  Type.Object(
    {
      id: Id,
      user_id: Id,
      products: Type.Array(createProductSchema(providers)),
      token: Type.String({
        description: 'For a front end: `Authorization: Bearer …`. Shown once',
        example: 'cs_…'
      }),
      url: Type.String({
        description:
          'For a browser. Only the first browser whose person presses the button on its page can use ' +
          'it. It does not contain the token',
        example: 'https://app.example.com/api/connect?token=cs_…'
      }),
      expires_at: Timestamp
    },
    { title: 'ConnectSession' }
  )

/** Connect sessions: a back end lets one person, in one browser, connect their account within 15 minutes. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { store, providers } = app
  const redirectUri = findRedirectUriWithBaseUrl(app.config)

  app.post(
    '',
    {
      config: { access: { scope: 'connections:write' } },
      schema: {
        tags: ['Connections'],
        operationId: 'createConnectSession',
        summary:
          'Create a connect session: a token and a link that let one person connect ' +
          'their account for 15 minutes',
        body: createBodySchema(providers),
        response: {
          201: createResponseSchema(providers),
          ...problemResponses(400, 403, 404, 413, 415, 422)
        }
      }
    },
    async (request, reply) => {
      const {
        user: userRef,
        products = providers.all.map(({ id }) => id),
        return_url: requestedUrl
      } = request.body
      const returnUrl =
        requestedUrl === undefined
          ? null
          : requireReturnUrl(requestedUrl, frontendBaseUrl(app, request, redirectUri))
      const user =
        typeof userRef === 'number'
          ? await requireUser(store, userRef)
          : await findNamedUser(store, request.principal, userRef, null)
      const token = createSecret(SESSION)
      const link = linkSecret(token)
      const { id, expiresAt } = await store.connectSessions.create({
        hash: hashSecret(link),
        userId: user.id,
        products: [...products],
        returnUrl
      })
      request.log.info({
        event: 'connect_session_made',
        user_id: user.id,
        session_id: id,
        products
      })
      return await reply.code(201).send({
        id,
        user_id: user.id,
        products: [...products],
        token,
        url: `${publicBaseUrl(app, request, redirectUri)}/connect?token=${link}`,
        expires_at: expiresAt.toISOString()
      } satisfies Static<ReturnType<typeof createResponseSchema>>)
    }
  )

  app.delete(
    '/:id',
    {
      config: { access: { scope: 'connections:write', owner: 'caller', session: true } },
      schema: {
        tags: ['Connections'],
        operationId: 'endConnectSession',
        summary:
          'End a connect session: its token, its link and the logins that it has started work no ' +
          'longer. A connect session can end itself',
        params: Type.Object({ id: Id }),
        response: {
          204: Type.Null({ description: 'The session has ended' }),
          ...problemResponses(400, 404, 413, 415, 422)
        }
      }
    },
    async ({ params: { id }, principal, log }, reply) => {
      const session = await store.connectSessions.find({ id })
      const isAllowed =
        principal.kind === 'session'
          ? principal.id === id
          : principal.kind !== 'user' || principal.userId === session?.userId
      if (session === undefined || !isAllowed) {
        throw new AppError('session_not_found', 'No live connect session has this id.')
      }
      await endSession(store, session)
      log.info({ event: 'connect_session_ended', user_id: session.userId, session_id: id })
      return await reply.code(204).send(null)
    }
  )
}

export default routes
