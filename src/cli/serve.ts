import closeWithGrace from 'close-with-grace'
import { buildApp } from '../app.ts'
import { listSecretVariables } from '../config/aliases.ts'
import { builtInProviders } from '../providers/index.ts'
import { defineCommand } from './command.ts'
import { isRunByNpm, NPM_SIGNALS, stopWithNpm } from './npm-signals.ts'

const SHUTDOWN_TIMEOUT_MS = 10_000

export const serve = defineCommand({
  description:
    'Start the service. Settings come from the environment and from `.env` (docs/settings.md).',
  options: {},
  examples: [['', 'Start on 127.0.0.1:3001 with a SQLite database in the working directory.']],
  async run() {
    const app = await buildApp({ logger: true })
    removeSecretsFromEnvironment()
    // Before the handlers of closeWithGrace, which end the process with 0: a port in use must end it with 1.
    await app.listen({ host: app.config.host, port: app.config.port })
    const { close } = closeWithGrace(
      { delay: SHUTDOWN_TIMEOUT_MS, logger: false, skip: isRunByNpm ? [...NPM_SIGNALS] : [] },
      async ({ err }) => {
        if (err !== undefined) app.log.fatal({ event: 'process_error', err })
        await app.close()
      }
    )
    if (isRunByNpm) stopWithNpm(close)
  }
})

/**
 * Child processes, packages and diagnostic reports read the environment. The first state of it stays
 * in /proc/<pid>/environ, for this user and root (docs/deployment.md#the-machine).
 */
function removeSecretsFromEnvironment(): void {
  for (const name of listSecretVariables(builtInProviders)) {
    Reflect.deleteProperty(process.env, name)
  }
  if (process.report !== undefined) process.report.excludeEnv = true
}
