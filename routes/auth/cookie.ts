import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyReply } from 'fastify'
import { FLOW_LIFETIME_MS, type StartedLogin } from '../../src/oauth/start-login.ts'

/**
 * The cookie that binds a login to one browser. It has the `__Host-` prefix (RFC 6265bis section
 * 4.1.3) if the redirect URI is https. SameSite is Lax because Atlassian sends the browser back
 * with a top-level GET.
 */
export function createFlowCookie(
  flowName: string,
  redirectUri: string
): { name: string; options: CookieSerializeOptions } {
  const secure = redirectUri.startsWith('https:')
  return {
    name: `${secure ? '__Host-' : ''}flow-${flowName}`,
    options: { path: '/', httpOnly: true, sameSite: 'lax', secure }
  }
}

/** Binds a login to the browser that receives the reply, and sends the browser to Atlassian. */
export async function redirectToAtlassian(
  reply: FastifyReply,
  { url, flowName, bindingSecret }: StartedLogin,
  { provider, redirectUri }: { provider: string; redirectUri: string },
  status: 303 | 307
): Promise<FastifyReply> {
  const { name, options } = createFlowCookie(flowName, redirectUri)
  reply.setCookie(name, bindingSecret, { ...options, maxAge: FLOW_LIFETIME_MS / 1000 })
  reply.request.log.info({
    event: 'oauth_login_redirect',
    provider,
    target: new URL(url).origin
  })
  return await reply.redirect(url, status)
}

const COOKIE_PATTERN = /^(__Host-)?flow-/

/** The binding secrets of all logins of this browser. */
export function readFlowSecrets(cookies: Record<string, string | undefined>): string[] {
  return Object.entries(cookies).flatMap(([name, value]) =>
    value !== undefined && value !== '' && COOKIE_PATTERN.test(name) ? [value] : []
  )
}
