import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { AppError } from '../../src/lib/errors.ts'
import { providers } from '../../src/providers/index.ts'
import { Nullable } from '../../src/http/schemas.ts'
import type { Vault } from '../../src/vault/vault.ts'

const DATABASE_ANSWERS_WITHIN_MS = 1_000
const Check = Type.Union([Type.Literal('ok'), Type.Literal('failed')])
const Ready = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('unavailable')]),
  checks: Type.Object({ database: Check, migrations: Check, vault_key: Check, accepting: Check })
})
const Source = Type.Object({
  present: Type.Boolean(),
  from: Nullable(
    Type.String({ description: 'The variable it came from', example: 'JIRA_OAUTH_CLIENT_ID' })
  )
})
const OAuthHealth = Type.Object({
  configured: Type.Boolean(),
  client_id: Source,
  client_secret: Source,
  redirect_uri: Source,
  redirect_uri_in_use: Nullable(
    Type.String({ example: 'https://app.example.com/api/auth/jira/callback' })
  ),
  scopes: Type.Array(Type.String({ example: 'read:jira-work' }))
})

export const autoPrefix = '/'

const routes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/healthz',
    {
      config: { access: 'open', limit: 'none' },
      schema: {
        tags: ['Health'],
        summary: 'Ready for requests? Never depends on Atlassian',
        response: { 200: Ready, 503: Ready }
      }
    },
    async (_request, reply) => {
      const migrated = await answer()
      const checks: Static<typeof Ready>['checks'] = {
        database: verdict(migrated !== undefined),
        migrations: verdict(migrated === true),
        vault_key: verdict(opensWhatItSeals(app.vault)),
        accepting: verdict(!app.isDraining())
      }
      const ready = Object.values(checks).every((check) => check === 'ok')
      return await reply
        .code(ready ? 200 : 503)
        .send({ status: ready ? 'ok' : 'unavailable', checks })
    }
  )

  app.get(
    '/health/oauth',
    {
      config: { access: { scope: 'admin' } },
      schema: {
        tags: ['Health'],
        summary: 'Which OAuth settings are there, and from which variables; never their secrets',
        response: {
          200: Type.Object(Object.fromEntries(providers.map(({ id }) => [id, OAuthHealth])))
        }
      }
    },
    async () =>
      Object.fromEntries(
        providers.map(({ id }) => {
          const { from, redirectUri } = app.config.clients[id]
          const missing = app.clients.missing(id)
          const source = (what: keyof typeof from) => ({
            present: !missing[what],
            from: from[what]
          })
          return [
            id,
            {
              configured: !Object.values(missing).includes(true),
              client_id: source('client_id'),
              client_secret: source('client_secret'),
              redirect_uri: source('redirect_uri'),
              redirect_uri_in_use: redirectUri,
              scopes: [...app.clients.scopes(id)]
            }
          ]
        })
      )
  )

  /** Whether the tables are up to date; undefined when the database does not answer in time. */
  async function answer(): Promise<boolean | undefined> {
    const late = new Promise<never>((_resolve, reject) => {
      setTimeout(() => {
        reject(new AppError('database_unavailable', 'The database does not answer.'))
      }, DATABASE_ANSWERS_WITHIN_MS).unref()
    })
    return await Promise.race([app.store.migrated(), late]).catch((err: unknown) => {
      app.log.error({ event: 'health_error', err })
      return undefined
    })
  }
}

export default routes

function verdict(ok: boolean): Static<typeof Check> {
  return ok ? 'ok' : 'failed'
}

function opensWhatItSeals(vault: Vault): boolean {
  return vault.open(vault.seal('ready', 'health'), 'health') === 'ready'
}
