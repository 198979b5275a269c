import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import sandbox from '../routes/sandbox/sandbox.ts'
import { createWorld } from './sandbox/world.ts'
import type { SandboxOptions, World } from './sandbox/world.ts'

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
