import type { ResolvedSettings } from './aliases.ts'
import { isLoopback, normalizeOrigin, splitList } from './formats.ts'
import { hasAtlassianApp } from './insecure.ts'
import { isProduction } from './mode.ts'
import type { Env } from './schema.ts'

/** Who can reach the service. */
export interface Exposure {
  /** The address to listen on. */
  host: string
  corsOrigins: readonly string[] | 'any' | 'loopback'
  /** The host names that are answered besides loopback; null: every one. */
  allowedHosts: readonly string[] | null
  /** Whether the settings name an app at Atlassian, so that people's real data may be here. */
  hasAtlassianApp: boolean
}

/**
 * Where the service listens, and which origins and host names it answers. Development with an
 * Atlassian app holds real data without credentials, so it answers this machine only, unless settings
 * name others.
 */
export function selectExposure(env: Env, resolved: ResolvedSettings): Exposure {
  const production = isProduction(resolved.values)
  const hasApp = hasAtlassianApp(resolved)
  const { BACKEND_CORS_ORIGINS: origins } = env
  const listedHosts = splitList(env.ALLOWED_HOSTS ?? '').map((host) => host.toLowerCase())
  const publicHosts = [
    env.PUBLIC_URL,
    ...Object.entries(resolved.values)
      .filter(([name]) => name.endsWith('_OAUTH_REDIRECT_URI'))
      .map(([, uri]) => uri)
  ]
    .map((url) => URL.parse(url ?? '')?.hostname)
    .filter((host) => host !== undefined)
  const isRestricted =
    listedHosts.length > 0 || (production ? env.PUBLIC_URL !== undefined : hasApp)
  return {
    host: selectHost(env.HOST, production),
    hasAtlassianApp: hasApp,
    allowedHosts: isRestricted
      ? [...new Set([...listedHosts, ...(production ? publicHosts : [])])].filter(
          (host) => !isLoopback(host)
        )
      : null,
    corsOrigins:
      origins === '*'
        ? 'any'
        : origins !== undefined
          ? splitList(origins).map((origin) => normalizeOrigin(origin) ?? origin)
          : production
            ? []
            : hasApp
              ? 'loopback'
              : 'any'
  }
}

/**
 * `localhost` may be two addresses. Fastify opens a second server for the other one, whose connections
 * nothing counts and whose failed accepts end the process.
 */
function selectHost(host: string | undefined, production: boolean): string {
  if (host === undefined) return production ? '0.0.0.0' : '127.0.0.1'
  return host.toLowerCase() === 'localhost' ? '127.0.0.1' : host
}
