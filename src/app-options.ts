import type { Dispatcher } from 'undici'
import type { BackoffLimits } from './lib/backoff.ts'
import type { WriteLine } from './lib/logger.ts'
import type { ProviderRegistry } from './providers/registry.ts'

/**
 * What the environment of the app decides: `buildApp` passes it to the plugins, tests replace
 * it.
 */
export interface PluginOptions {
  env: NodeJS.ProcessEnv
  /** The products that the service connects. */
  providers: ProviderRegistry
  /** Sends every call to Atlassian; undefined: a pool with the configured time-outs. */
  network: Dispatcher | undefined
  /** Returns milliseconds since the epoch. */
  now: () => number
  /** Delays before failed calls to Atlassian are repeated; undefined: seconds. */
  upstreamBackoff: BackoffLimits | undefined
  /** Registers a value that must never be logged. */
  redactValue: (secret: string) => void
  /** Writes a line that is mostly JSON already. */
  writeLine: WriteLine
}
