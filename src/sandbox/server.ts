import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import sandbox from './http/plugin.ts'
import { createWorld } from './state.ts'
import type { SandboxOptions, World } from './state.ts'

export interface BuildSandboxOptions extends SandboxOptions {
  logger?: FastifyServerOptions['logger']
  /** One that exists already, instead of the options. */
  world?: World
}

const LONGEST_PARAM = 4096

/** The stand-in for Atlassian as a server of its own, at the root. */
export function buildSandbox({
  logger = false,
  world,
  ...options
}: BuildSandboxOptions = {}): FastifyInstance {
  const app = Fastify({
    logger,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: LONGEST_PARAM }
  })
  app.register(sandbox, { world: world ?? createWorld(options) })
  return app
}
