import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { createSecret, displayPrefix, KEY } from '../../src/access/secrets.ts'
import { Id, Nullable, problemResponses, Timestamp } from '../../src/http/schemas.ts'
import { AppError } from '../../src/lib/errors.ts'
import { hashSecret } from '../../src/lib/secret.ts'

const DEFAULT_OVERLAP_S = 300
const MAX_OVERLAP_S = 86_400

const RotationBody = Type.Object(
  {
    overlap_s: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: MAX_OVERLAP_S,
        description: `How long the presented key goes on working, in seconds. Default: ${DEFAULT_OVERLAP_S}`,
        example: DEFAULT_OVERLAP_S
      })
    )
  },
  { title: 'ApiKeyRotation', additionalProperties: false }
)

const RotatedKey = Type.Object(
  {
    id: Id,
    name: Type.String({ example: 'crm' }),
    key: Type.String({
      description: 'The new key; it is not shown again',
      example: 'jcck_'
    }),
    scopes: Type.Array(Type.String({ example: 'data:read' })),
    networks: Nullable(
      Type.Array(Type.String({ example: '10.0.0.0/8' }), {
        description: 'Where the key may be used from; null: anywhere'
      })
    ),
    expires_at: Nullable({
      ...Timestamp,
      description: 'As long after now as it was for the old key'
    }),
    previous_valid_until: Timestamp
  },
  { title: 'RotatedApiKey' }
)

/** Service keys that replace themselves. */
const routes: FastifyPluginAsyncTypebox = async (app) => {
  const { apiKeys } = app.store

  app.post(
    '/rotate',
    {
      config: { access: { scope: 'keys:rotate' } },
      schema: {
        tags: ['Access'],
        operationId: 'rotateApiKey',
        summary: 'Replace the service key of this request by a new one with the same rights',
        body: Type.Union([Type.Null(), RotationBody]),
        response: { 201: RotatedKey, ...problemResponses(400, 413, 415, 422) }
      }
    },
    async ({ body, principal, log }, reply) => {
      const current = principal.kind === 'key' ? await apiKeys.get(principal.id) : undefined
      if (current === undefined) {
        throw new AppError('forbidden', 'Send the service key that is to be replaced.')
      }
      const secret = createSecret(KEY)
      const overlapMs = (body?.overlap_s ?? DEFAULT_OVERLAP_S) * 1000
      const lifetimeMs =
        current.expiresAt === null
          ? null
          : current.expiresAt.getTime() - current.createdAt.getTime()
      const { key: created, previousUntil } = await apiKeys.rotate(
        current,
        { hash: hashSecret(secret), prefix: displayPrefix(secret), lifetimeMs },
        overlapMs
      )
      log.info({ event: 'api_key_rotated', key_id: created.id, key_name: created.name })
      return await reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({
          id: created.id,
          name: created.name,
          key: secret,
          scopes: created.scopes,
          networks: created.networks,
          expires_at: created.expiresAt?.toISOString() ?? null,
          previous_valid_until: getEarliest(
            previousUntil,
            current.rotatedUntil,
            current.expiresAt
          ).toISOString()
        })
    }
  )
}

export default routes

function getEarliest(first: Date, ...others: Array<Date | null>): Date {
  return new Date(Math.min(...[first, ...others].map((at) => at?.getTime() ?? Infinity)))
}
