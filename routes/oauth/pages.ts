import { Type, type Static } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import { acceptForms } from '../../src/http/form-body.ts'
import { evaluateFeatures } from '../../src/connections/features.ts'
import { selectSites } from '../../src/connections/sites.ts'
import { FORM_PAGE_HEADERS, PAGE_HEADERS, renderPage } from '../../src/http/html.ts'
import { runAsInitiator } from '../../src/lib/actor.ts'
import { AppError } from '../../src/lib/errors.ts'
import { isOwnForm } from '../../src/oauth/login-result.ts'
import type { Provider } from '../../src/providers/provider.ts'
import {
  renderClaimedState,
  renderConnectionPage,
  renderLinks,
  type ConnectionPage
} from './connection-page.ts'
import { renderFailure } from './failure-page.ts'
import { identifyVisitor } from './visitor.ts'

const Short = Type.Optional(Type.String({ maxLength: 64 }))
const OutcomeQuery = Type.Object({
  provider: Short,
  status: Short,
  connection_state: Short,
  user_id: Short,
  error: Short,
  state: Type.Optional(Type.String({ maxLength: 512 })),
  message: Type.Optional(Type.String({ maxLength: 500 })),
  confirm_url: Type.Optional(Type.String({ maxLength: 8192 })),
  request_id: Short,
  choose: Short
})
type OutcomeQuery = Static<typeof OutcomeQuery>

const MAX_CHOSEN_SITES = 100

/**
 * Outcome of a login, for services without a front end. The pages have no scripts: while items are
 * copied, the browser loads the page again. Links are relative, so they work under any prefix.
 */
export const outcomePages: FastifyPluginAsyncTypebox = async (app) => {
  const { providers, store, siteContext, syncWorker, oauthClients } = app
  acceptForms(app)

  for (const path of [...providers.all.map(({ id }) => `/${id}`), '/callback']) {
    app.get(
      path,
      {
        config: { access: 'open', limit: 'none' },
        schema: { hide: true, querystring: OutcomeQuery }
      },
      async (request, reply) => {
        const { query } = request
        const provider = providers.find(query.provider ?? path.slice(1)) ?? providers.fallback
        const { heading, body, kind, hasForm, refreshS } =
          query.status === 'success'
            ? await buildSuccessPage(request, provider, query)
            : await buildFailurePage(request, provider, query)
        if (refreshS !== undefined) reply.header('refresh', String(refreshS))
        return await reply
          .headers(hasForm === true ? FORM_PAGE_HEADERS : PAGE_HEADERS)
          .header('cache-control', 'no-store')
          .send(renderPage(heading, body, kind))
      }
    )
  }

  for (const provider of providers.all) {
    app.post(
      `/${provider.id}/sites`,
      {
        // The form carries a token that only the browser of the login was given.
        config: { access: 'open', limit: 'login' },
        schema: { hide: true }
      },
      async (request, reply) => {
        const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams()
        const { result } = await identifyVisitor(app, request, provider, undefined)
        if (result === undefined || !isOwnForm(result, form.get('form_token') ?? '')) {
          throw new AppError('forbidden', 'This form has expired. Log in again to choose sites.')
        }
        const cloudIds = form.getAll('cloud_id')
        if (cloudIds.length === 0 || cloudIds.length > MAX_CHOSEN_SITES) {
          throw new AppError(
            'validation_failed',
            'Choose at least one site. Go back and try again.'
          )
        }
        const { userId } = result.current.connection
        const log = request.log.child({ provider: provider.id })
        await runAsInitiator(result.initiator, async () => {
          await selectSites(
            siteContext,
            syncWorker.cancelForOwner,
            userId,
            provider,
            cloudIds,
            '/cloud_id',
            log
          )
          await syncWorker.enqueueRun(userId, provider, log)
        })
        return await reply.redirect(`../${provider.id}?status=success&choose=done`, 303)
      }
    )
  }

  async function buildSuccessPage(
    request: FastifyRequest,
    provider: Provider,
    { user_id: namedUserId, connection_state: claimedState, choose }: OutcomeQuery
  ): Promise<ConnectionPage> {
    const visitor = await identifyVisitor(app, request, provider, namedUserId)
    const { current } = visitor
    const links = renderLinks(providers.all, current?.connection.userId, visitor)
    if (current === undefined) return renderClaimedState(provider, claimedState, links)
    const { userId } = current.connection
    const configuredScopes = oauthClients.scopesForLogin(provider.id)
    const [run] = await store.runs.list(userId, provider.id, 1)
    const page = renderConnectionPage({
      provider,
      current,
      visitor,
      features: evaluateFeatures(
        provider,
        current.grant.scopes.split(' '),
        current.connection,
        configuredScopes
      ),
      configuredScopes,
      run,
      choice: choose === 'sites' || choose === 'done' ? choose : undefined
    })
    return { ...page, body: page.body + links }
  }

  async function buildFailurePage(
    request: FastifyRequest,
    provider: Provider,
    query: OutcomeQuery
  ): Promise<ConnectionPage> {
    const { canLogIn } = await identifyVisitor(app, request, provider, undefined)
    return { ...renderFailure(provider, query, canLogIn), kind: 'error' }
  }
}
