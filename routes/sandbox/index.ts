import type { FastifyInstance } from 'fastify'
import { handOn } from '../../src/sandbox/http/forward.ts'

/** Mounts the sandbox where the host has a world for it (plugins/sandbox.ts); in production nothing of it is loaded. */
export default async function (app: FastifyInstance) {
  if (app.sandbox === null) return
  const { default: sandbox } = await import('../../src/sandbox/http/plugin.ts')
  // Its own clients and tokens guard it, as they guard Atlassian.
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, access: 'open' }
  })
  if (app.sandboxLeader !== null) app.addHook('onRequest', handOn(app.sandboxLeader))
  await app.register(sandbox, { state: app.sandbox })
}
