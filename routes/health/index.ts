import { getClientSettings } from '../../src/config/config.ts'
import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { describeFailure, TIMEOUT_CODE } from '../../src/store/failure-reason.ts'
import { exampleProvider } from '../../src/providers/index.ts'
import type { Provider } from '../../src/providers/provider.ts'
import { QuotaSchema, toQuotaResponse } from '../../src/http/quota-schema.ts'
import { Nullable, problemResponses } from '../../src/http/schemas.ts'

const DATABASE_TIMEOUT_MS = 1_000
const TIMEOUT_ERROR = Object.assign(new Error('The database does not respond.'), {
  code: TIMEOUT_CODE
})
const CheckResult = Type.Union([Type.Literal('ok'), Type.Literal('failed')], {
  title: 'CheckResult'
})
const FailureText = Type.Optional(Type.String({ example: 'read_only' }))
const ReadinessResponse = Type.Object(
  {
    status: Type.Union([Type.Literal('ok'), Type.Literal('unavailable')]),
    checks: Type.Object(
      {
        database: CheckResult,
        migrations: CheckResult,
        vault_key: Type.String({
          description:
            '`ok`, `failed`, or `missing` with the ids of the keys that this instance lacks',
          examples: ['ok', 'missing k2']
        }),
        accepting: CheckResult
      },
      { title: 'ReadinessChecks' }
    ),
    reasons: Type.Optional(
      Type.Object(
        {
          database: FailureText,
          migrations: FailureText,
          vault_key: FailureText,
          accepting: FailureText
        },
        { title: 'ReadinessReasons', description: 'Why each failed check failed, in a few words' }
      )
    )
  },
  { title: 'Readiness' }
)
const LivenessResponse = Type.Object({ status: Type.Literal('ok') }, { title: 'Liveness' })
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

type Readiness = Static<typeof ReadinessResponse>
/** For orchestrators and load balancers: no key, no limit, any host name, logged at debug. */
const HEALTH_ROUTE = {
  access: 'open',
  limit: 'none',
  unknownQuery: 'ignored',
  anyHost: true
} as const
const READINESS_PATHS = [
  ['/healthz', 'getReadiness'],
  ['/readyz', 'getReadyz']
] as const

export const autoPrefix = '/'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/livez',
    {
      config: HEALTH_ROUTE,
      schema: {
        tags: ['Health'],
        operationId: 'getLiveness',
        summary: 'Check that the process works; depends on nothing else',
        response: { ...problemResponses(400), 200: LivenessResponse }
      }
    },
    async () => ({ status: 'ok' as const })
  )

  for (const [path, operationId] of READINESS_PATHS) {
    app.get(
      path,
      {
        config: HEALTH_ROUTE,
        schema: {
          tags: ['Health'],
          operationId,
          summary: 'Check readiness; does not depend on Atlassian',
          description:
            'The database is read and written, the migrations are applied, the vault key works, ' +
            'and the service is not stopping. Concurrent checks share one write, at most one in ' +
            '5 seconds.',
          response: { ...problemResponses(400), 200: ReadinessResponse, 503: ReadinessResponse }
        }
      },
      async (_request, reply) => {
        const { isMigrated, reason } = await checkDatabase()
        const checks: Readiness['checks'] = {
          database: toCheckResult(reason === undefined),
          migrations: toCheckResult(isMigrated),
          vault_key: describeVaultKey(),
          accepting: toCheckResult(!app.isDraining())
        }
        const isReady = Object.values(checks).every((check) => check === 'ok')
        if (isReady) return { status: 'ok' as const, checks }
        const reasons: Readiness['reasons'] = {
          ...(reason !== undefined && { database: reason }),
          ...(!isMigrated && { migrations: reason === undefined ? 'not_applied' : 'unknown' }),
          ...(checks.vault_key !== 'ok' && {
            vault_key: checks.vault_key === 'failed' ? 'cannot_decrypt' : 'missing'
          }),
          ...(checks.accepting === 'failed' && { accepting: 'stopping' })
        }
        return await reply.code(503).send({ status: 'unavailable', checks, reasons })
      }
    )
  }

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

  /** From memory: the heartbeat keeps it up to date. */
  function describeVaultKey(): string {
    const missingIds = app.heartbeat.getMissingKeyIds()
    return missingIds.length > 0
      ? `missing ${missingIds.join(', ')}`
      : toCheckResult(app.vault.opensProof())
  }

  interface DatabaseState {
    isMigrated: boolean
    reason: string | undefined
  }
  let checking: Promise<DatabaseState> | undefined

  /** Checks that come while one is under way share its result. */
  async function checkDatabase(): Promise<DatabaseState> {
    checking ??= readDatabaseState().finally(() => {
      checking = undefined
    })
    return await checking
  }

  /** Ends in time, whatever the database does. */
  async function readDatabaseState(): Promise<DatabaseState> {
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(TIMEOUT_ERROR)
      }, DATABASE_TIMEOUT_MS)
    })
    const [migrations, reason] = await Promise.all([
      Promise.race([app.store.isMigrated(), timeout])
        .then((isMigrated) => ({ isMigrated, reason: undefined }))
        .catch((err: unknown) => {
          app.log.error({ event: 'health_error', err })
          return { isMigrated: false, reason: describeFailure(err) }
        }),
      app.databaseProbe.check(DATABASE_TIMEOUT_MS)
    ])
    clearTimeout(timer)
    return { ...migrations, reason: migrations.reason ?? reason }
  }
}

export default routes

function toCheckResult(ok: boolean): Static<typeof CheckResult> {
  return ok ? 'ok' : 'failed'
}
