import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

export const autoPrefix = '/'

/** Hash of the one inline style of Swagger UI; a browser test fails when it changes. */
const INLINE_STYLE = 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='

/**
 * Swagger UI at `/docs`. Its scripts and styles are served locally and its links are relative, so
 * it works under any prefix. The package's content security policy allows other hosts and forbids
 * plain http; this one allows this origin only.
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
    transformSpecification: (_document, { url }) => app.getOpenApiDocument(url),
    transformSpecificationClone: false,
    theme: { title: `${app.providers.titles} connector` }
  })
}
