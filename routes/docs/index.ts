import Fastify, { type FastifyInstance, type FastifyRequest, type FastifyReply } from 'fastify'
import fp from 'fastify-plugin'
import { ROUTER_OPTIONS } from '../../src/http/problem.ts'

export const autoPrefix = '/'

/** Hash of the one inline style of Swagger UI; a browser test fails when it changes. */
const INLINE_STYLE = 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='
const PATHS = ['/', '/json', '/yaml', '/static/*']
const ASKED_HEADERS = ['if-none-match', 'if-modified-since']
const ANSWERED_HEADERS = [
  'content-type',
  'content-length',
  'content-security-policy',
  'cache-control',
  'etag',
  'last-modified',
  'location'
]

/**
 * Swagger UI at `/docs`. Its scripts and styles are served locally and its links are relative, so
 * it works under any prefix. The first request for it loads it: most services are never asked, and its
 * hundred modules would be a tenth of the start.
 */
export default async function (app: FastifyInstance) {
  let page: Promise<FastifyInstance> | undefined
  app.addHook('onClose', async () => await (await page)?.close())

  async function answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    page ??= buildPage(app)
    const answer = await (
      await page
    ).inject({ url: request.raw.url ?? '', headers: pick(request.headers, ASKED_HEADERS) })
    if (answer.statusCode >= 400) {
      reply.callNotFound()
      return reply
    }
    return reply
      .code(answer.statusCode)
      .headers(pick(answer.headers, ANSWERED_HEADERS))
      .send(answer.rawPayload.length === 0 ? undefined : answer.rawPayload)
  }

  await app.register(
    async (scope) => {
      for (const path of PATHS) {
        scope.get(path, { config: { access: 'docs' }, schema: { hide: true } }, answer)
      }
    },
    { prefix: '/docs' }
  )
}

/**
 * A server that never listens, with the page under the same prefix. The package's content security
 * policy allows other hosts and forbids plain http; this one allows this origin only.
 */
async function buildPage({
  prefix,
  providers,
  swagger,
  getOpenApiDocument
}: FastifyInstance): Promise<FastifyInstance> {
  const { default: swaggerUi } = await import('@fastify/swagger-ui')
  const page = Fastify({ routerOptions: ROUTER_OPTIONS })
  // The page requires the plugin that makes the document, and lets `transformSpecification` change it.
  await page.register(
    fp(
      async (server) => {
        server.decorate('swagger', swagger)
      },
      { name: '@fastify/swagger' }
    )
  )
  await page.register(
    async (server) => {
      await server.register(swaggerUi, {
        routePrefix: '/docs',
        indexPrefix: '.',
        staticCSP: true,
        transformStaticCSP: (policy) =>
          policy
            .replaceAll(
              / https:(?=[ ;])| validator\.swagger\.io| ?upgrade-insecure-requests;?/g,
              ''
            )
            .replace("style-src 'self'", `style-src 'self' '${INLINE_STYLE}'`),
        uiConfig: { validatorUrl: null, deepLinking: true },
        transformSpecification: (_document, { url }) => getOpenApiDocument(url),
        transformSpecificationClone: false,
        theme: { title: `${providers.titles} connector` }
      })
    },
    { prefix }
  )
  return page
}

function pick<Value>(
  headers: Record<string, Value>,
  names: readonly string[]
): Record<string, Value & {}> {
  const picked: Record<string, Value & {}> = {}
  for (const name of names) {
    const value = headers[name]
    if (value !== undefined && value !== null) picked[name] = value
  }
  return picked
}
