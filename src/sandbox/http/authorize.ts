import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { applyDecision, parseConsentRequest, AUTHORIZE_PARAMS } from '../oauth/authorize.ts'
import type { ConsentRequest, ConsentDecision, AuthorizeError } from '../oauth/authorize.ts'
import { renderConsentPage, renderErrorPage } from './consent-page.ts'
import { STYLESHEET } from './html.ts'
import { readFormBody, recordCall, readQueryParams } from './reply.ts'
import type { SandboxPluginOptions } from './options.ts'

/**
 * No `form-action`: Chromium also applies it to every redirect after the form, and the app
 * decides where its callback redirects. `default-src` does not cover it, so its absence allows
 * it.
 */
const PAGE_HEADERS = {
  'content-type': 'text/html;charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

/**
 * The consent page (docs/reference/atlassian.md#1-authorize): GET shows it, POST decides. It
 * works without scripts. Its Accept is also a plain link, so that `curl -L` with that link
 * completes the login. A program may skip the page with
 * `&sandbox_decision=accept|cancel[&sandbox_account=…][&sandbox_site=…]`.
 */
export default async function authorizeRoutes(
  app: FastifyInstance,
  { state }: SandboxPluginOptions
) {
  app.get('/authorize', { schema: { hide: true } }, async (request, reply) => {
    const params = readQueryParams(request)
    const decision = params.get('sandbox_decision')
    const consent = parseConsentRequest(state, params)
    if ('error' in consent) return sendAuthorizeError(request, reply, consent)
    if (decision !== null) {
      return finishConsent(
        request,
        reply,
        consent,
        parseDecision(decision, params.get('sandbox_account'), params.get('sandbox_site'))
      )
    }
    recordCall(request, state, 'GET /authorize', 200)
    return reply
      .headers(PAGE_HEADERS)
      .send(renderConsentPage(state, consent, preservedParams(params)))
  })

  app.post('/authorize', { schema: { hide: true } }, async (request, reply) => {
    const form = readFormBody(request)
    const consent = parseConsentRequest(state, form)
    if ('error' in consent) return sendAuthorizeError(request, reply, consent)
    return finishConsent(
      request,
      reply,
      consent,
      parseDecision(form.get('decision'), form.get('account'), form.get('site'))
    )
  })

  app.get('/authorize.css', { schema: { hide: true } }, async (_request, reply) =>
    reply
      .headers({
        'content-type': 'text/css;charset=utf-8',
        'cache-control': 'max-age=3600',
        'x-content-type-options': 'nosniff'
      })
      .send(STYLESHEET)
  )

  function finishConsent(
    request: FastifyRequest,
    reply: FastifyReply,
    consent: ConsentRequest,
    decision: ConsentDecision
  ) {
    const target = applyDecision(state, consent, decision)
    if (typeof target !== 'string') return sendAuthorizeError(request, reply, target)
    recordCall(
      request,
      state,
      `${request.method} /authorize ${decision.accept ? 'accept' : 'cancel'}`,
      302
    )
    return reply
      .headers({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', location: target })
      .code(302)
      .send('')
  }

  function sendAuthorizeError(
    request: FastifyRequest,
    reply: FastifyReply,
    authorizeError: AuthorizeError
  ) {
    recordCall(request, state, `${request.method} /authorize refused`, 400)
    return reply.code(400).headers(PAGE_HEADERS).send(renderErrorPage(authorizeError))
  }
}

/** Any value other than `accept` cancels. */
function parseDecision(
  decision: string | null,
  account: string | null,
  site: string | null
): ConsentDecision {
  return {
    accept: decision === 'accept',
    accountId: account ?? undefined,
    cloudId: site ?? undefined
  }
}

/** The parameters of the request, which the form sends back. */
function preservedParams(params: URLSearchParams): [string, string][] {
  return AUTHORIZE_PARAMS.flatMap((name) =>
    params.has(name) ? [[name, params.get(name) ?? '']] : []
  )
}
