import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { decide, readConsent, REQUEST_FIELDS } from '../oauth/authorize.ts'
import type { Consent, Decision, Problem } from '../oauth/authorize.ts'
import { consentPage, problemPage } from './consent-page.ts'
import { STYLE } from './html.ts'
import { formOf, note, queryOf } from './reply.ts'
import type { SandboxPluginOptions } from './plugin.ts'

/**
 * No `form-action`: Chromium applies it to every redirect after the form as well, and where the callback leads in the end is the
 * app's affair. It is not covered by `default-src`, so leaving it out allows it.
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
 * The consent page (atlassian.md section 1): GET shows it, POST decides. It works without scripts, and its Accept is a plain
 * link as well, so that `curl -L` given that link goes through the whole sign-in. A program may skip the page with
 * `&sandbox_decision=accept|cancel[&sandbox_account=…][&sandbox_site=…]`.
 */
export default async function authorize(app: FastifyInstance, { world }: SandboxPluginOptions) {
  app.get('/authorize', { schema: { hide: true } }, async (request, reply) => {
    const params = queryOf(request)
    const decision = params.get('sandbox_decision')
    const consent = readConsent(world, params)
    if ('error' in consent) return problem(request, reply, consent)
    if (decision !== null) {
      return conclude(
        request,
        reply,
        consent,
        decisionOf(decision, params.get('sandbox_account'), params.get('sandbox_site'))
      )
    }
    note(request, world, 'GET /authorize', 200)
    return reply.headers(PAGE_HEADERS).send(consentPage(world, consent, kept(params)))
  })

  app.post('/authorize', { schema: { hide: true } }, async (request, reply) => {
    const form = formOf(request)
    const consent = readConsent(world, form)
    if ('error' in consent) return problem(request, reply, consent)
    return conclude(
      request,
      reply,
      consent,
      decisionOf(form.get('decision'), form.get('account'), form.get('site'))
    )
  })

  app.get('/authorize.css', { schema: { hide: true } }, async (_request, reply) =>
    reply
      .headers({
        'content-type': 'text/css;charset=utf-8',
        'cache-control': 'max-age=3600',
        'x-content-type-options': 'nosniff'
      })
      .send(STYLE)
  )

  function conclude(
    request: FastifyRequest,
    reply: FastifyReply,
    consent: Consent,
    decision: Decision
  ) {
    const target = decide(world, consent, decision)
    if (typeof target !== 'string') return problem(request, reply, target)
    note(
      request,
      world,
      `${request.method} /authorize ${decision.accept ? 'accept' : 'cancel'}`,
      302
    )
    return reply
      .headers({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer', location: target })
      .code(302)
      .send('')
  }

  function problem(request: FastifyRequest, reply: FastifyReply, found: Problem) {
    note(request, world, `${request.method} /authorize refused`, 400)
    return reply.code(400).headers(PAGE_HEADERS).send(problemPage(found))
  }
}

/** Anything but `accept` cancels. */
function decisionOf(
  decision: string | null,
  account: string | null,
  site: string | null
): Decision {
  return {
    accept: decision === 'accept',
    accountId: account ?? undefined,
    cloudId: site ?? undefined
  }
}

/** The request as it goes through the page and back. */
function kept(params: URLSearchParams): [string, string][] {
  return REQUEST_FIELDS.flatMap((name) =>
    params.has(name) ? [[name, params.get(name) ?? '']] : []
  )
}
