import { getClientSettings } from '../../src/config/config.ts'
import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { AppError } from '../../src/lib/errors.ts'
import { exampleProvider } from '../../src/providers/index.ts'
import type { Provider } from '../../src/providers/provider.ts'
import { QuotaSchema, toQuotaResponse } from '../../src/http/quota-schema.ts'
import { Nullable, problemResponses } from '../../src/http/schemas.ts'

const DATABASE_TIMEOUT_MS = 1_000
const CheckResult = Type.Union([Type.Literal('ok'), Type.Literal('failed')], {
  title: 'CheckResult'
})
const ReadinessResponse = Type.Object(
  {
    status: Type.Union([Type.Literal('ok'), Type.Literal('unavailable')]),
    checks: Type.Object(
      {
        database: CheckResult,
        migrations: CheckResult,
        vault_key: CheckResult,
        accepting: CheckResult
      },
      { title: 'ReadinessChecks' }
    )
  },
  { title: 'Readiness' }
)
const SettingSource = Type.Object(
  {
    present: Type.Boolean(),
    from: Nullable(
      Type.String({
        description: 'Environment variable that sets it',
        example: `${exampleProvider.settings.prefix}_OAUTH_CLIENT_ID`
      })
    )
  },
  { title: 'SettingSource' }
)
const OAuthHealthResponse = Type.Object(
  {
    configured: Type.Boolean(),
    client_id: SettingSource,
    client_secret: SettingSource,
    redirect_uri: SettingSource,
    redirect_uri_in_use: Nullable(
      Type.String({ example: `https://app.example.com/api/auth/${exampleProvider.id}/callback` })
    ),
    scopes: Type.Array(Type.String({ example: exampleProvider.scopes[0] })),
    points: Nullable(QuotaSchema)
  },
  { title: 'ProductOAuthSettings' }
)

export const autoPrefix = '/'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/healthz',
    {
      config: { access: 'open', limit: 'none', unknownQuery: 'ignored', anyHost: true },
      schema: {
        tags: ['Health'],
        operationId: 'getReadiness',
        summary: 'Check readiness; does not depend on Atlassian',
        response: { ...problemResponses(400), 200: ReadinessResponse, 503: ReadinessResponse }
      }
    },
    async (_request, reply) => {
      const isMigrated = await checkMigrations()
      const checks: Static<typeof ReadinessResponse>['checks'] = {
        database: toCheckResult(isMigrated !== undefined),
        migrations: toCheckResult(isMigrated === true),
        vault_key: toCheckResult(app.vault.opensProof()),
        accepting: toCheckResult(!app.isDraining())
      }
      const isReady = Object.values(checks).every((check) => check === 'ok')
      return await reply
        .code(isReady ? 200 : 503)
        .send({ status: isReady ? 'ok' : 'unavailable', checks })
    }
  )

  app.get(
    '/health/oauth',
    {
      config: { access: { scope: 'admin' }, unknownQuery: 'ignored' },
      schema: {
        tags: ['Health'],
        operationId: 'getOAuthSettings',
        summary:
          'Show which OAuth settings are present, which variables set them, and the points left; no secrets',
        response: {
          200: Type.Object(
            Object.fromEntries(app.providers.all.map(({ id }) => [id, OAuthHealthResponse])),
            { title: 'OAuthSettings' }
          ),
          ...problemResponses()
        }
      }
    },
    async () => Object.fromEntries(await Promise.all(app.providers.all.map(describeProduct)))
  )

  async function describeProduct({
    id
  }: Provider): Promise<[string, Static<typeof OAuthHealthResponse>]> {
    const { sources, redirectUri } = getClientSettings(app.config, id)
    const clientId = app.oauthClients.findForLogin(id, '')?.clientId
    const missing = app.oauthClients.findMissingSettings(id)
    const toSettingSource = (name: 'client_id' | 'client_secret' | 'redirect_uri') => ({
      present: !missing[name],
      from: sources[name]
    })
    return [
      id,
      {
        configured: !Object.values(missing).includes(true),
        client_id: toSettingSource('client_id'),
        client_secret: toSettingSource('client_secret'),
        redirect_uri: toSettingSource('redirect_uri'),
        redirect_uri_in_use: redirectUri,
        scopes: [...app.oauthClients.scopesForLogin(id)],
        points: clientId === undefined ? null : await describePoints(clientId)
      }
    ]
  }

  async function describePoints(clientId: string): Promise<Static<typeof QuotaSchema>> {
    return toQuotaResponse((await app.siteContext.budget.getLimits(clientId)).points)
  }

  /** Whether all migrations are applied; undefined if the database does not respond in time. */
  async function checkMigrations(): Promise<boolean | undefined> {
    const timeout = new Promise<never>((_resolve, reject) => {
      setTimeout(() => {
        reject(new AppError('database_unavailable', 'The database does not respond.'))
      }, DATABASE_TIMEOUT_MS).unref()
    })
    return await Promise.race([app.store.isMigrated(), timeout]).catch((err: unknown) => {
      app.log.error({ event: 'health_error', err })
      return undefined
    })
  }
}

export default routes

function toCheckResult(ok: boolean): Static<typeof CheckResult> {
  return ok ? 'ok' : 'failed'
}
