import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

export const autoPrefix = '/'

/** The one style that Swagger UI sets inline; a browser test tells when it changes. */
const INLINE_STYLE = 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='

/**
 * Swagger UI at `/docs`, with its scripts and styles served from here and its links relative, so that it works under any
 * prefix. The package's policy allows other hosts and forbids plain http; this one allows neither less nor more than here.
 */
export default async function (app: FastifyInstance) {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, access: 'docs' }
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    indexPrefix: '.',
    staticCSP: true,
    transformStaticCSP: (policy) =>
      policy
        .replaceAll(/ https:(?=[ ;])| validator\.swagger\.io| ?upgrade-insecure-requests;?/g, '')
        .replace("style-src 'self'", `style-src 'self' '${INLINE_STYLE}'`),
    uiConfig: { validatorUrl: null, deepLinking: true },
    theme: { title: 'Jira and Confluence connector' }
  })
}
