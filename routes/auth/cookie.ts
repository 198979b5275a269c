import type { CookieSerializeOptions } from '@fastify/cookie'

/**
 * The cookie that ties one login to one browser. `__Host-` (RFC 6265bis section 4.1.3) wherever browsers come by https,
 * which the redirect URI tells; Lax, because Atlassian sends the browser back with a top-level GET.
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
