import swagger from '@fastify/swagger'
import fp from 'fastify-plugin'

/** The description of every route, written by the schemas themselves; each path once, without the /api prefix. */
export default fp(async (app) => {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Jira and Confluence connector',
        version: '0.1.0',
        description: "Connects people's Jira and Confluence to software: OAuth 2.0 (3LO) logins, tokens in an encrypted vault, copies that do not lie. Every path also answers under /api."
      },
      tags: [
        { name: 'Health', description: 'Is the service there and ready?' },
        { name: 'Users', description: 'The people whose accounts are connected' },
        { name: 'OAuth', description: 'Logins at Atlassian' },
        { name: 'Connections', description: 'How each connection is doing; sites, history, leaving' },
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
    transform: ({ schema, url }) => ({ schema: url.startsWith('/api/') || url === '/api' ? { ...schema, hide: true } : schema, url })
  })
}, { name: 'openapi', dependencies: ['config'] })

interface Operation { requestBody?: { required?: boolean, content: Record<string, { schema?: { anyOf?: Array<{ type?: string }> } }> } }

/** A body that may be null may be left out. */
function markOptionalBodies (paths: object): void {
  for (const { post } of Object.values(paths) as Array<{ post?: Operation }>) {
    const body = post?.requestBody
    if (body?.content['application/json']?.schema?.anyOf?.some(({ type }) => type === 'null') === true) body.required = false
  }
}
