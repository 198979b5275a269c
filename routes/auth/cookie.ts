import type { CookieSerializeOptions } from '@fastify/cookie'

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

const COOKIE_PATTERN = /^(__Host-)?flow-/

/** The binding secrets of all logins of this browser. */
export function readFlowSecrets(cookies: Record<string, string | undefined>): string[] {
  return Object.entries(cookies).flatMap(([name, value]) =>
    value !== undefined && value !== '' && COOKIE_PATTERN.test(name) ? [value] : []
  )
}
