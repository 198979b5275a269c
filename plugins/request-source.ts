import fp from 'fastify-plugin'
import {
  assertUnambiguous,
  isAddressedHere,
  isForgedByOtherSite,
  isKnownOrigin
} from '../src/http/request-source.ts'
import { AppError } from '../src/lib/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set for health checks, which address the service by whatever name they reach it. */
    anyHost?: true
  }
}

/**
 * Refuses requests that web sites make through the browser of a person who can reach the service:
 * those to a foreign host name, and those that take effect without a CORS preflight.
 */
export default fp(
  async (app) => {
    const { config } = app
    const { allowedHosts, corsOrigins, production, hasAtlassianApp } = config
    const hasOriginCheck = hasAtlassianApp && !production

    app.addHook('onRequest', (request, _reply, done) => {
      try {
        assertUnambiguous(request)
      } catch (error) {
        return done(error as AppError)
      }
      if (request.routeOptions.config.anyHost !== true && !isAddressedHere(request, allowedHosts)) {
        return done(
          new AppError(
            'misdirected_request',
            'This service does not answer to this host name. Its operator can add it to ALLOWED_HOSTS.'
          )
        )
      }
      if (
        isForgedByOtherSite(request, config) ||
        (hasOriginCheck && !isKnownOrigin(request, corsOrigins))
      ) {
        return done(
          new AppError(
            'forbidden',
            'Pages of this origin may not call the service. Its operator can add it to BACKEND_CORS_ORIGINS.'
          )
        )
      }
      done()
    })

    logExposure()

    /** One line at each start says what is open to whom. */
    function logExposure(): void {
      const { publicAccess, publicDocs, host } = config
      const isOpen = publicAccess && !production && hasAtlassianApp
      app.log[isOpen ? 'warn' : 'info'](
        {
          event: 'exposure',
          access: publicAccess ? 'public' : 'protected',
          docs: publicDocs ? 'open' : 'closed',
          listens_on: host,
          hosts: allowedHosts === null ? 'any' : ['loopback', ...allowedHosts],
          origins: corsOrigins,
          sandbox: !production,
          node: process.versions.node,
          node_source: /[\\/]node_modules[\\/]/.test(process.execPath)
            ? 'package-lock.json'
            : 'operator'
        },
        isOpen
          ? 'Development with an Atlassian app: whoever reaches the listed hosts reads all data.'
          : 'What this service answers, and to whom.'
      )
    }
  },
  { name: 'request-source', dependencies: ['config', 'logging', 'security-headers', 'errors'] }
)
