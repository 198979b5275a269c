import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import sandboxPlugin from './http/plugin.ts'
import { createSandboxState } from './create-state.ts'
import type { SandboxOptions, SandboxState } from './state.ts'

export interface BuildSandboxOptions extends SandboxOptions {
  logger?: FastifyServerOptions['logger']
  /** An existing state, instead of the options. */
  state?: SandboxState
}

const MAX_PARAM_LENGTH = 4096

/** The sandbox as a server of its own, mounted at the root. */
export function buildSandbox({
  logger = false,
  state,
  ...options
}: BuildSandboxOptions = {}): FastifyInstance {
  const app = Fastify({
    logger,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH }
  })
  app.register(sandboxPlugin, { state: state ?? createSandboxState(options) })
  return app
}
