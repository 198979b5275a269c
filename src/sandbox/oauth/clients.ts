import { timingSafeEqual, createHash } from 'node:crypto'

/** An app as registered in the developer console. */
export interface SandboxClient {
  id: string
  secret: string
  name: string
  redirectUris: readonly string[] | ((uri: string) => boolean)
  /** Scopes enabled on the app; `offline_access` needs no enabling. */
  scopes: readonly string[]
  /**
   * `resource`: one site per consent. `account`: every site of the account
   * (docs/reference/atlassian.md#11-consent).
   */
  access: 'resource' | 'account'
}

/** An app without `scopes` has every scope. */
export type SandboxClientOptions = Omit<SandboxClient, 'scopes'> & Partial<SandboxClient>

/** The demo app: every scope, and any callback on this machine. */
export const DEMO_CLIENT: SandboxClientOptions = {
  id: 'sandbox-client',
  secret: 'sandbox-secret',
  name: 'Connector (sandbox app)',
  redirectUris: isLoopbackUri,
  access: 'account'
}

function isLoopbackUri(uri: string): boolean {
  const url = URL.canParse(uri) ? new URL(uri) : undefined
  return url?.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
}

/** Exact match, path and slash included (docs/reference/atlassian.md#15-redirect-uri). */
export function isRegisteredRedirect({ redirectUris }: SandboxClient, uri: string): boolean {
  return typeof redirectUris === 'function' ? redirectUris(uri) : redirectUris.includes(uri)
}

export function isClientSecret(client: SandboxClient, candidate: unknown): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return typeof candidate === 'string' && timingSafeEqual(digest(candidate), digest(client.secret))
}
