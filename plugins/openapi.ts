import swagger from '@fastify/swagger'
import fp from 'fastify-plugin'
import type { AccessRule } from '../src/access/rules.ts'
import { finishDocument } from '../src/http/openapi-document.ts'
import { getAliasPrefix } from '../src/http/pagination.ts'
import { formatList } from '../src/providers/registry.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * The OpenAPI document for a request at `url`: its `servers` has the prefix under which the
     * document is served.
     */
    getOpenApiDocument: (url: string) => object
  }
}

/** Builds the OpenAPI document from the schemas of the routes; each path once, without the /api prefix. */
export default fp(
  async (app) => {
    const { providers } = app
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: `${providers.titles} connector`,
          version: '0.1.0',
          license: { name: 'MIT', identifier: 'MIT' } as { name: string },
          description:
            `Connects the ${providers.titles} accounts of people to software: OAuth ` +
            '2.0 (3LO) logins, tokens in an encrypted vault, synchronized copies of ' +
            `${formatList(providers.collections.map(({ name }) => name))}. ` +
            'Every path also answers under `/api`.'
        },
        servers: [{ url: '/' }],
        components: {
          securitySchemes: {
            bearer: {
              type: 'http',
              scheme: 'bearer',
              description:
                'A service key (`npx --no-install connector api-keys`), a token of the configured ' +
                'identity provider, or a connect session. Required with ' +
                '`API_ACCESS=protected`, the default in production.'
            }
          }
        },
        tags: [
          { name: 'Health', description: 'Liveness, readiness and OAuth settings' },
          { name: 'Users', description: 'People whose accounts are connected' },
          { name: 'OAuth', description: 'Logins at Atlassian' },
          { name: 'Connections', description: 'State, sites, options and history of connections' },
          { name: 'Integrations', description: 'Sync runs and copied items, by product' },
          { name: 'Data', description: 'Copied and uploaded items, and the change feed' },
          { name: 'Audit', description: 'Audit log' },
          { name: 'Access', description: 'Service keys' }
        ]
      },
      hideUntagged: true,
      transformObject: (document) =>
        'openapiObject' in document
          ? finishDocument(document.openapiObject)
          : document.swaggerObject,
      transform: ({ schema, url, route }) => ({
        schema:
          url.startsWith('/api/') || url === '/api'
            ? { ...schema, hide: true }
            : withSecurity(schema, route.config?.access),
        url
      })
    })

    app.decorate('getOpenApiDocument', (url) => ({
      ...app.swagger(),
      servers: [{ url: getAliasPrefix(url) || '/' }]
    }))
  },
  { name: 'openapi', dependencies: ['config', 'providers'] }
)

/** Adds the scope that a key needs, and who else may call the route. */
function withSecurity<Schema extends object | undefined>(
  schema: Schema,
  rule: AccessRule | undefined
): Schema {
  if (typeof rule !== 'object') return { ...schema, security: [] }
  const otherCallers = [
    ...(rule.owner === undefined ? [] : ['the user concerned']),
    ...(rule.session === true ? ["that user's connect session"] : [])
  ]
  const alsoOpen = otherCallers.length === 0 ? '' : `; also open to ${otherCallers.join(' and ')}`
  const text =
    schema !== undefined && 'description' in schema ? `${String(schema.description)} ` : ''
  return {
    ...schema,
    security: [{ bearer: [rule.scope] }],
    description: `${text}Scope \`${rule.scope}\`${alsoOpen}.`
  }
}
