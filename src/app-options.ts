import type { Dispatcher } from 'undici'
import type { ProviderRegistry } from './providers/registry.ts'

/** Where log lines go; one call a line. */
export interface LogDestination {
  write: (line: string) => void
}

/** What the outside world decides: `buildApp` takes it, tests swap it. */
export interface PluginOptions {
  env: NodeJS.ProcessEnv
  /** The products that the service connects. */
  providers: ProviderRegistry
  /** Carries every call to Atlassian; undefined: a pool of our own with the configured time limits. */
  network: Dispatcher | undefined
  /** Milliseconds since the epoch. */
  now: () => number
  /** Names a value that must never reach a log line. */
  redactValue: (secret: string) => void
}
