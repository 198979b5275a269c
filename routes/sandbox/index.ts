import type { FastifyInstance } from 'fastify'

/** Mounts the sandbox that plugins/sandbox.ts created. Production loads none of its code. */
export default async function (app: FastifyInstance) {
  if (app.sandbox === null) return
  const { default: sandbox } = await import('../../src/sandbox/http/plugin.ts')
  // The sandbox checks its own clients and tokens, as Atlassian does.
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, access: 'open' }
  })
  await app.register(sandbox, { state: app.sandbox })
}
