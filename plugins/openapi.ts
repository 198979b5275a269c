import swagger from '@fastify/swagger'
import fp from 'fastify-plugin'
import type { AccessRule } from '../src/access/rules.ts'

/** The description of every route, written by the schemas themselves; each path once, without the /api prefix. */
export default fp(
  async (app) => {
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Jira and Confluence connector',
          version: '0.1.0',
          description:
            "Connects people's Jira and Confluence to software: OAuth 2.0 (3LO) logins, tokens in an encrypted vault, copies that do not lie. Every path also answers under /api."
        },
        components: {
          securitySchemes: {
            bearer: {
              type: 'http',
              scheme: 'bearer',
              description:
                'A service key (npm run api-keys), a token of the configured identity provider, or a connect session. Needed where API_ACCESS=protected, the default in production.'
            }
          }
        },
        tags: [
          { name: 'Health', description: 'Is the service there and ready?' },
          { name: 'Users', description: 'The people whose accounts are connected' },
          { name: 'OAuth', description: 'Logins at Atlassian' },
          {
            name: 'Connections',
            description: 'How each connection is doing; sites, history, leaving'
          },
          { name: 'Integrations', description: 'Connections and their copies' },
          { name: 'Data', description: 'Items, by hand and by sync' }
        ]
      },
      hideUntagged: true,
      transformObject: (document) => {
        if (!('openapiObject' in document)) return document.swaggerObject
        markOptionalBodies(document.openapiObject.paths ?? {})
        return document.openapiObject
      },
      transform: ({ schema, url, route }) => ({
        schema:
          url.startsWith('/api/') || url === '/api'
            ? { ...schema, hide: true }
            : withSecurity(schema, route.config?.access),
        url
      })
    })
  },
  { name: 'openapi', dependencies: ['config'] }
)

/** Says which scope a key needs, and who else may call. */
function withSecurity<Schema extends object | undefined>(
  schema: Schema,
  rule: AccessRule | undefined
): Schema {
  if (typeof rule !== 'object') return schema
  const otherCallers = [
    ...(rule.owner === undefined ? [] : ['the person it is about']),
    ...(rule.session === true ? ['their connect session'] : [])
  ]
  return {
    ...schema,
    security: [{ bearer: [rule.scope] }],
    description: `Scope \`${rule.scope}\`${otherCallers.length === 0 ? '' : `; also ${otherCallers.join(', and ')}`}.`
  }
}

interface OpenApiOperation {
  requestBody?: {
    required?: boolean
    content: Record<string, { schema?: { anyOf?: Array<{ type?: string }> } }>
  }
}

/** A body that may be null may be left out. */
function markOptionalBodies(paths: object): void {
  for (const { post } of Object.values(paths) as Array<{ post?: OpenApiOperation }>) {
    const body = post?.requestBody
    if (
      body?.content['application/json']?.schema?.anyOf?.some(({ type }) => type === 'null') === true
    ) {
      body.required = false
    }
  }
}
